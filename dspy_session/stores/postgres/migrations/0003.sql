-- Version 3, readable by version 1. Which conversations a message came to.
CREATE INDEX arrivals_by_event ON store.arrivals (event_id);
