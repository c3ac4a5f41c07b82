"""Journals in PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Sequence

import asyncpg

from dspy_session.errors import StaleJournalError
from dspy_session.stores.chains import see_that_all_is_there
from dspy_session.stores.postgres import forgetting
from dspy_session.stores.postgres.database import Transaction
from dspy_session.stores.postgres.outbox import DELIVER, delivery_values
from dspy_session.stores.protocol import Commit, ConversationInfo, Entry, Journal

# LIMIT 1 and OFFSET 0 keep the planner from joining with all entries: it cannot know that chains are short. UNION ALL
# keeps it from hashing what it takes for millions; an entry that two marks lead to comes twice.
_READ = """
    WITH RECURSIVE conversation AS (
        SELECT id, length, marks FROM store.conversations WHERE key = $1
    ), chain (number, previous, depth) AS (
        SELECT e.number, e.previous, 1
        FROM conversation c, LATERAL (
            SELECT DISTINCT value::integer AS number FROM jsonb_each_text(c.marks)
        ) AS mark, LATERAL (
            SELECT number, previous FROM store.entries
            WHERE conversation = c.id AND number = mark.number AND $2 > 0 LIMIT 1
        ) AS e
        UNION ALL
        SELECT e.number, e.previous, chain.depth + 1
        FROM conversation c, chain, LATERAL (
            SELECT number, previous FROM store.entries
            WHERE conversation = c.id AND number = chain.previous AND chain.depth < $2 LIMIT 1
        ) AS e
    ), wanted (number) AS (
        SELECT number FROM chain
        UNION ALL
        SELECT e.number
        FROM conversation c, wanted, LATERAL (
            SELECT number FROM store.entries WHERE conversation = c.id AND about = wanted.number OFFSET 0
        ) AS e
    )
    SELECT c.length, c.marks, e.*
    FROM conversation c LEFT JOIN wanted ON true LEFT JOIN LATERAL (
        SELECT number, kind, body, at, previous, about, author FROM store.entries
        WHERE conversation = c.id AND number = wanted.number LIMIT 1
    ) AS e ON true
"""
_PAGE = """
    SELECT e.*
    FROM store.conversations c, LATERAL (
        SELECT number, kind, body, at, previous, about, author FROM store.entries
        WHERE conversation = c.id AND number >= $2 ORDER BY number LIMIT $3
    ) AS e
    WHERE c.key = $1 ORDER BY e.number
"""
_LIST = """
    SELECT key, length, created_at, updated_at FROM store.conversations
    WHERE length > 0 AND starts_with(key, $1) ORDER BY updated_at DESC, id DESC
"""
_CREATE = """
    INSERT INTO store.conversations (key, created_at, updated_at)
    SELECT $1, now, now FROM (SELECT extract(epoch FROM clock_timestamp()) AS now) AS clock
    ON CONFLICT (key) DO NOTHING
"""
_COMMIT = f"""
    WITH changed AS (
        UPDATE store.conversations SET
            length = length + cardinality($10::text[]),
            marks = CASE WHEN cardinality($10) > 0 THEN $9::jsonb ELSE marks END,
            created_at = CASE WHEN length = 0 THEN coalesce(($12::float8[])[1], created_at) ELSE created_at END,
            updated_at = coalesce(($12)[cardinality($10)], updated_at)
        WHERE key = $1 AND length = $8
            AND ($16::bigint IS NULL OR fence = $16 AND owner = $17 AND lease_until > clock_timestamp())
        RETURNING id
    ), added AS (
        INSERT INTO store.entries (conversation, number, kind, body, at, previous, about, author)
        SELECT changed.id, $8 + e.place - 1, e.kind, e.body, e.at, e.previous, e.about, e.author
        FROM changed, unnest($10, $11::text[], $12, $13::integer[], $14::integer[], $15::text[])
            WITH ORDINALITY AS e (kind, body, at, previous, about, author, place)
    ), settled AS (
        INSERT INTO store.arrivals AS known
            (key, event_id, author, state, payload, reply, sent_at, received_at, message_ids)
        SELECT $1, $18::text, '', CASE $19::text WHEN '' THEN 'done' ELSE 'answered' END, '', $19, now, now, $22::text[]
        FROM changed, (SELECT extract(epoch FROM clock_timestamp()) AS now) AS clock
        WHERE $18 IS NOT NULL AND (
            NOT $20::boolean OR EXISTS (SELECT FROM store.arrivals WHERE key = $1 AND event_id = $18)
        )
        ON CONFLICT (key, event_id) DO UPDATE SET
            state = excluded.state,
            reply = excluded.reply,
            attempts = 0,
            author = CASE excluded.state WHEN 'done' THEN '' ELSE known.author END,
            payload = CASE excluded.state WHEN 'done' THEN '' ELSE known.payload END,
            message_ids = coalesce(nullif(excluded.message_ids, '{{}}'), known.message_ids)
        WHERE known.state = 'waiting'
        RETURNING event_id
    ), also AS (
        UPDATE store.arrivals SET state = 'done', payload = '', reply = '', author = ''
        FROM changed WHERE key = $1 AND event_id = ANY($21::text[]) AND state = 'waiting'
        RETURNING event_id
    ), {DELIVER}
    SELECT EXISTS (SELECT FROM changed) AS changed, EXISTS (SELECT FROM settled) AS settled,
        ARRAY(SELECT event_id FROM also) AS also
"""  # noqa: S608  # made of constants
_STANDS = """
    SELECT
        (SELECT count(*) FROM store.conversations c JOIN store.entries e ON e.conversation = c.id
            JOIN unnest($3::text[], $4::text[], $5::float8[]) WITH ORDINALITY AS ours (kind, body, at, place)
            ON (e.number, e.kind, e.body, e.at) = ($2::integer + ours.place - 1, ours.kind, ours.body, ours.at)
            WHERE c.key = $1) = cardinality($3)
        AND ($6::text IS NULL OR EXISTS (
            SELECT FROM store.arrivals
            WHERE key = $1 AND event_id = $6 AND state <> 'waiting' AND reply IN ($7::text, '')
        ))
"""
ALL = 2**31 - 1
"""A depth that no chain has."""


async def read(db: Transaction, key: str, depth: int | None) -> Journal:
    """A conversation: its marks, what they lead to, and what is said of that."""
    found = await db.rows(_READ, key, ALL if depth is None else depth)
    if not found:
        return Journal()
    marks: dict[str, int] = json.loads(found[0]["marks"])
    entries = {row["number"]: _entry(row) for row in found if row["number"] is not None}
    journal = Journal(found[0]["length"], marks, entries)
    see_that_all_is_there(key, journal, depth)
    return journal


async def commit(db: Transaction, change: Commit) -> None:
    """Write a change."""
    lease, settled, entries = change.lease, change.settled, change.entries
    if lease is None and change.expected == 0:
        await db.rows(_CREATE, change.key)
    elif lease is not None and lease.key != change.key:
        raise StaleJournalError(f"the lease is for {lease.key!r}, not for {change.key!r}; nothing was written")
    if entries and (change.forgets or change.rewrites):
        await forgetting.take_out(db, change.key, change.forgets, change.rewrites)
    row = await db.row(
        _COMMIT,
        *delivery_values(change.key, change.deliveries, change.expected, change.expected + len(entries) - 1),
        change.expected,
        json.dumps(dict(change.marks)),
        [entry.kind for entry in entries],
        [entry.body for entry in entries],
        [entry.at for entry in entries],
        [entry.previous for entry in entries],
        [entry.about for entry in entries],
        [entry.author for entry in entries],
        None if lease is None else lease.fence,
        None if lease is None else lease.owner,
        None if settled is None else settled.event_id,
        None if settled is None else settled.reply,
        settled is not None and settled.received,
        list(change.also),
        [] if settled is None else list(settled.shown),
    )
    assert row is not None
    if not row["changed"]:
        raise StaleJournalError
    if settled is not None and not row["settled"]:
        raise StaleJournalError(
            f"the message {settled.event_id!r} is settled already, or was forgotten; nothing was written"
        )
    if missing := set(change.also).difference(row["also"]):
        raise StaleJournalError(f"messages are settled already, or were forgotten: {sorted(missing)}")


async def stands(db: Transaction, change: Commit) -> bool:
    """True when a change, of which nobody knows whether it was written, was."""
    return bool(
        await db.value(
            _STANDS,
            change.key,
            change.expected,
            [entry.kind for entry in change.entries],
            [entry.body for entry in change.entries],
            [entry.at for entry in change.entries],
            None if change.settled is None else change.settled.event_id,
            None if change.settled is None else change.settled.reply,
        )
    )


async def page(db: Transaction, key: str, start: int, count: int) -> list[Entry]:
    """The next entries of a conversation from a number on."""
    return [_entry(row) for row in await db.rows(_PAGE, key, start, count)]


async def listed(db: Transaction, prefix: str) -> Sequence[ConversationInfo]:
    """The conversations whose keys begin with ``prefix``, the newest first."""
    return [ConversationInfo(*row) for row in await db.rows(_LIST, prefix)]


def _entry(row: asyncpg.Record) -> Entry:
    return Entry(row["kind"], row["body"], row["at"], row["previous"], row["about"], row["author"])
