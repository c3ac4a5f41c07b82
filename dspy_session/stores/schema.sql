-- Version 1. A journal is append-only: rows are added and never changed.
CREATE TABLE conversations (
    id         INTEGER PRIMARY KEY,
    key        TEXT NOT NULL UNIQUE,
    entries    INTEGER NOT NULL,
    created_at REAL NOT NULL,  -- seconds since 1970, UTC
    updated_at REAL NOT NULL
);

CREATE TABLE entries (
    conversation INTEGER NOT NULL REFERENCES conversations (id),
    seq          INTEGER NOT NULL,  -- from 0, without gaps
    kind         TEXT NOT NULL,
    body         TEXT NOT NULL,     -- JSON
    event_id     TEXT NOT NULL,     -- '' when no event brought it about
    at           REAL NOT NULL,
    PRIMARY KEY (conversation, seq)
) WITHOUT ROWID;

CREATE UNIQUE INDEX entries_by_event ON entries (conversation, event_id) WHERE event_id <> '';
