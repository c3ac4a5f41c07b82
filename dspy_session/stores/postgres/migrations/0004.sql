-- Version 4, readable by version 1. What a bot keeps that is part of no conversation.
CREATE TABLE store.vault (
    name  text COLLATE "C" PRIMARY KEY,
    value text NOT NULL,
    until double precision                        -- when it is of no use any more, as the writer said; NULL for never
);
CREATE INDEX vault_by_end ON store.vault (until) WHERE until IS NOT NULL;
