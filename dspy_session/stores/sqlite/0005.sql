-- Version 5, readable by version 2. What a bot keeps that is part of no conversation.
CREATE TABLE vault (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    until REAL                     -- when it is of no use any more, in seconds since 1970, UTC; NULL for never
) WITHOUT ROWID;
CREATE INDEX vault_by_end ON vault (until) WHERE until IS NOT NULL;
