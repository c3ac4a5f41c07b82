-- Version 1, readable by version 1. `store` stands for the schema; entry and delivery times are seconds since 1970, UTC,
-- as the writer said, all others are the database's own.

-- One for everything that can be taken over: what was deleted and made anew never meets an old fence again.
CREATE SEQUENCE store.fences;

CREATE TABLE store.conversations (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key         text COLLATE "C" NOT NULL UNIQUE,
    length      integer NOT NULL DEFAULT 0,
    marks       jsonb NOT NULL DEFAULT '{}',      -- the newest entry of each chain, by name
    created_at  double precision NOT NULL,
    updated_at  double precision NOT NULL,
    owner       text NOT NULL DEFAULT '',
    fence       bigint NOT NULL DEFAULT 0,
    lease_until timestamptz                       -- NULL while nobody has it
);

CREATE TABLE store.entries (
    conversation bigint NOT NULL REFERENCES store.conversations ON DELETE CASCADE,
    number       integer NOT NULL,                -- from 0, without gaps
    kind         text NOT NULL,
    body         text NOT NULL,                   -- JSON; jsonb would refuse \u0000
    at           double precision NOT NULL,
    previous     integer,
    about        integer,
    author       text NOT NULL,
    PRIMARY KEY (conversation, number)
);
CREATE INDEX entries_by_subject ON store.entries (conversation, about) WHERE about IS NOT NULL;
CREATE INDEX entries_by_author ON store.entries (author) WHERE author <> '';

CREATE TABLE store.arrivals (
    number      bigint GENERATED ALWAYS AS IDENTITY,
    key         text COLLATE "C" NOT NULL,
    event_id    text COLLATE "C" NOT NULL,
    author      text NOT NULL,                    -- empty once done
    state       text NOT NULL CHECK (state IN ('waiting', 'answered', 'done')),
    payload     text NOT NULL,                    -- JSON; empty once done
    reply       text NOT NULL,                    -- JSON; empty but while answered
    sent_at     double precision NOT NULL,
    received_at double precision NOT NULL,
    attempts    integer NOT NULL DEFAULT 0,
    message_ids text[] NOT NULL DEFAULT '{}',     -- where the answer was posted
    PRIMARY KEY (key, event_id)
);
CREATE INDEX arrivals_open ON store.arrivals (key, number) WHERE state <> 'done';
CREATE INDEX arrivals_by_author ON store.arrivals (author) WHERE author <> '';

CREATE TABLE store.deliveries (
    number      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sink        text COLLATE "C" NOT NULL,
    key         text COLLATE "C" NOT NULL,
    delivery_id text NOT NULL,
    body        bytea NOT NULL,
    at          double precision NOT NULL,
    first_entry integer,                          -- what was committed with it, NULL when nobody knows
    last_entry  integer
);
CREATE INDEX deliveries_by_lane ON store.deliveries (sink, key, number);

CREATE TABLE store.lanes (
    sink     text COLLATE "C" NOT NULL,
    key      text COLLATE "C" NOT NULL,
    due_at   timestamptz,                         -- the end of the claim while claimed; NULL while parked
    attempts integer NOT NULL DEFAULT 0,
    reason   text NOT NULL DEFAULT '',
    fence    bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (sink, key)
);
CREATE INDEX lanes_due ON store.lanes (sink, due_at) WHERE due_at IS NOT NULL;

CREATE TABLE store.sinks (
    name       text COLLATE "C" PRIMARY KEY,
    held_until timestamptz,
    disabled   boolean NOT NULL DEFAULT false
);
