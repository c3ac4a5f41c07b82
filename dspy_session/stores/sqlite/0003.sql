-- Version 3, readable by version 2. What limits have counted; times are seconds since 1970, UTC.
CREATE TABLE accounts (
    name       TEXT PRIMARY KEY,
    owner      TEXT NOT NULL,      -- the user whose account it is; empty for nobody's
    used       REAL NOT NULL,      -- at the time `at`
    refill     REAL NOT NULL,      -- how much of that comes back in a second
    at         REAL NOT NULL,
    expires_at REAL NOT NULL       -- when it says nothing any more
) WITHOUT ROWID;
CREATE INDEX accounts_by_owner ON accounts (owner) WHERE owner <> '';
CREATE INDEX accounts_by_end ON accounts (expires_at);

-- Which turn a message of ours is the answer of.
CREATE TABLE posts (
    scope      TEXT NOT NULL,
    message_id TEXT NOT NULL,
    key        TEXT NOT NULL,
    turn_id    TEXT NOT NULL,
    at         REAL NOT NULL,
    PRIMARY KEY (scope, message_id)
) WITHOUT ROWID;
CREATE INDEX posts_by_key ON posts (key);
