-- Version 2, readable by version 1. What limits have counted; times are seconds since 1970, UTC, as the writer said.
CREATE TABLE store.accounts (
    name       text COLLATE "C" PRIMARY KEY,
    owner      text NOT NULL,                     -- the user whose account it is; empty for nobody's
    used       double precision NOT NULL,         -- at the time `at`
    refill     double precision NOT NULL,         -- how much of that comes back in a second
    at         double precision NOT NULL,
    expires_at double precision NOT NULL          -- when it says nothing any more
);
CREATE INDEX accounts_by_owner ON store.accounts (owner) WHERE owner <> '';
CREATE INDEX accounts_by_end ON store.accounts (expires_at);
