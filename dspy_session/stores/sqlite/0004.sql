-- Version 4, readable by version 2. Which conversations a message came to.
CREATE INDEX arrivals_by_event ON arrivals (event_id);
