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

-- Which turn a message of ours is the answer of.
CREATE TABLE store.posts (
    scope      text COLLATE "C" NOT NULL,
    message_id text COLLATE "C" NOT NULL,
    key        text COLLATE "C" NOT NULL,
    turn_id    text NOT NULL,
    at         double precision NOT NULL,         -- by the database's clock
    PRIMARY KEY (scope, message_id)
);
CREATE INDEX posts_by_key ON store.posts (key);
