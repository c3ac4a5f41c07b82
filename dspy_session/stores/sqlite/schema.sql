-- Version 2. Entries are only ever added; times are seconds since 1970, UTC.
CREATE TABLE conversations (
    id         INTEGER PRIMARY KEY,
    key        TEXT NOT NULL UNIQUE,
    length     INTEGER NOT NULL,
    marks      TEXT NOT NULL,      -- JSON: the newest entry of each chain, by name
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL
);

CREATE TABLE entries (
    conversation INTEGER NOT NULL REFERENCES conversations (id),
    number       INTEGER NOT NULL, -- from 0, without gaps
    kind         TEXT NOT NULL,
    body         TEXT NOT NULL,    -- JSON
    at           REAL NOT NULL,
    previous     INTEGER,
    about        INTEGER,
    author       TEXT NOT NULL
);
CREATE UNIQUE INDEX entries_by_number ON entries (conversation, number);
CREATE INDEX entries_by_subject ON entries (conversation, about) WHERE about IS NOT NULL;

CREATE TABLE arrivals (
    id          INTEGER PRIMARY KEY,
    key         TEXT NOT NULL,
    event_id    TEXT NOT NULL,
    author      TEXT NOT NULL,     -- empty once done
    state       TEXT NOT NULL,     -- waiting, answered, done
    payload     TEXT NOT NULL,     -- JSON; empty once done
    reply       TEXT NOT NULL,     -- JSON; empty but while answered
    sent_at     REAL NOT NULL,
    received_at REAL NOT NULL,
    attempts    INTEGER NOT NULL,
    message_ids TEXT NOT NULL,     -- JSON: where the answer was posted
    UNIQUE (key, event_id)
);
CREATE INDEX arrivals_open ON arrivals (key, id) WHERE state <> 'done';

CREATE TABLE deliveries (
    id           INTEGER PRIMARY KEY,
    sink         TEXT NOT NULL,
    key          TEXT NOT NULL,
    delivery_id  TEXT NOT NULL,
    body         BLOB NOT NULL,
    at           REAL NOT NULL,
    author       TEXT NOT NULL,
    first_entry  INTEGER,          -- what was committed with it, NULL when nobody knows
    last_entry   INTEGER
);
CREATE INDEX deliveries_by_lane ON deliveries (sink, key, id);

CREATE TABLE lanes (
    sink         TEXT NOT NULL,
    key          TEXT NOT NULL,
    due_at       REAL NOT NULL,
    attempts     INTEGER NOT NULL,
    parked       INTEGER NOT NULL,
    reason       TEXT NOT NULL,
    fence        INTEGER NOT NULL,
    leased_until REAL NOT NULL,
    PRIMARY KEY (sink, key)
) WITHOUT ROWID;
CREATE INDEX lanes_due ON lanes (sink, due_at) WHERE NOT parked;

CREATE TABLE sinks (
    name       TEXT PRIMARY KEY,
    held_until REAL NOT NULL,
    disabled   INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE facts (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO facts VALUES ('readable_by', 2);
