"""Deleting for good in PostgreSQL: no table keeps what was forgotten, and no lease from before brings it back.

A conversation's row is held first, then its lanes: whoever commits to it meanwhile waits, and finds another fence.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping

from dspy_session.stores.postgres import outbox
from dspy_session.stores.postgres.database import Transaction
from dspy_session.stores.protocol import SHARED, Entry, Forget

# A conversation that somebody works on, or that has a message to be worked on, is not idle.
_DELETE_IDLE = """
    WITH idle AS (
        DELETE FROM store.conversations c
        WHERE updated_at < $1 AND (lease_until IS NULL OR lease_until <= clock_timestamp())
            AND NOT EXISTS (SELECT FROM store.arrivals a WHERE a.key = c.key AND a.state <> 'done')
        RETURNING key, length
    )
    SELECT key FROM idle WHERE length > 0  -- the others nobody ever wrote to
"""
_DELETE = "DELETE FROM store.conversations WHERE key = ANY($1) RETURNING key"
_DELETE_ARRIVALS = "DELETE FROM store.arrivals WHERE key = ANY($1) RETURNING key"
_DELETE_LANES = "DELETE FROM store.lanes WHERE key = ANY($1) RETURNING key"
_DELETE_DELIVERIES = "DELETE FROM store.deliveries WHERE key = ANY($1) RETURNING key"
_DELETE_POSTS = "DELETE FROM store.posts WHERE key = ANY($1) RETURNING key"
_DELETE_OLD_POSTS = "DELETE FROM store.posts WHERE at < $1"
_DELETE_DONE = "DELETE FROM store.arrivals WHERE state = 'done' AND received_at < $1"
# What came in since its conversation was found idle waits to be answered.
_DELETE_DONE_OF = "DELETE FROM store.arrivals WHERE key = ANY($1) AND state = 'done' RETURNING key"

_OLD = """
    SELECT e.conversation, e.number FROM store.entries e JOIN store.conversations c ON c.id = e.conversation
    WHERE e.at < $1 AND e.kind <> 'forgotten' AND (c.lease_until IS NULL OR c.lease_until <= clock_timestamp())
        AND NOT EXISTS (SELECT FROM jsonb_each_text(c.marks) AS mark WHERE mark.value::integer = e.number)
"""
_BY_AUTHOR = f"""
    SELECT conversation, number FROM store.entries WHERE author = $1
    UNION SELECT conversation, about FROM store.entries WHERE author = $1 AND kind = '{SHARED}' AND about IS NOT NULL
"""  # noqa: S608  # made of constants
_BY_NUMBER = """
    SELECT e.conversation, e.number FROM store.entries e JOIN store.conversations c ON c.id = e.conversation
    WHERE c.key = $1::jsonb ->> 'key'
        AND e.number IN (SELECT value::integer FROM jsonb_array_elements_text($1::jsonb -> 'numbers'))
"""
_HOLD = """
    SELECT id, key FROM store.conversations
    WHERE id IN (SELECT conversation FROM ({which}) AS going) ORDER BY id FOR UPDATE
"""
_HOLD_LANES = "SELECT FROM store.lanes WHERE key = ANY($1) ORDER BY sink, key FOR UPDATE"
_BLANK = """
    WITH RECURSIVE gone (conversation, number) AS (
        SELECT conversation, number FROM ({which}) AS going WHERE conversation = ANY($2)
        UNION
        SELECT e.conversation, e.number
        FROM gone JOIN store.entries e ON e.conversation = gone.conversation AND e.about = gone.number
    ), blanked AS (
        UPDATE store.entries e SET kind = 'forgotten', body = '{{}}', author = '', about = NULL
        FROM gone WHERE (e.conversation, e.number) = (gone.conversation, gone.number)
        RETURNING e.conversation, e.number
    ), dropped AS (
        DELETE FROM store.deliveries d USING store.conversations c, blanked b
        WHERE c.id = b.conversation AND d.key = c.key
            AND (d.first_entry IS NULL OR b.number BETWEEN d.first_entry AND d.last_entry)
        RETURNING d.sink, d.key
    )
    UPDATE store.lanes SET fence = nextval('store.fences') WHERE (sink, key) IN (SELECT sink, key FROM dropped)
"""
_HOLD_KEY = "SELECT id FROM store.conversations WHERE key = $1 FOR UPDATE"
_REWRITE = """
    WITH rewritten AS (
        UPDATE store.entries e SET body = ours.body
        FROM store.conversations c, unnest($2::integer[], $3::text[]) AS ours (number, body)
        WHERE c.key = $1 AND e.conversation = c.id AND e.number = ours.number
        RETURNING e.number
    ), dropped AS (
        DELETE FROM store.deliveries d USING rewritten r
        WHERE d.key = $1 AND (d.first_entry IS NULL OR r.number BETWEEN d.first_entry AND d.last_entry)
        RETURNING d.sink, d.key
    )
    UPDATE store.lanes SET fence = nextval('store.fences') WHERE (sink, key) IN (SELECT sink, key FROM dropped)
"""
# One entry more, so that whoever knows the conversation by heart notices that it has changed.
_NOTE = """
    WITH taken_over AS (
        UPDATE store.conversations
        SET length = length + 1, fence = nextval('store.fences'), owner = '', lease_until = NULL
        WHERE id = ANY($1)
        RETURNING id, length, updated_at
    )
    INSERT INTO store.entries (conversation, number, kind, body, at, author)
    SELECT id, length - 1, 'forgotten', '{}', updated_at, '' FROM taken_over
"""
_CLOSE_LANES = """
    DELETE FROM store.lanes l
    WHERE key = ANY($1) AND NOT EXISTS (SELECT FROM store.deliveries d WHERE (d.sink, d.key) = (l.sink, l.key))
"""
# Whoever works on a message of theirs finds the conversation taken over.
_INTERRUPT = """
    UPDATE store.conversations SET fence = nextval('store.fences'), owner = '', lease_until = NULL
    WHERE key IN (SELECT key FROM store.arrivals WHERE author = $1)
"""
# The message stays known, so that it is not answered when the platform sends it once more.
_BLANK_ARRIVALS = """
    UPDATE store.arrivals SET state = 'done', payload = '', reply = '', author = '' WHERE author = $1 RETURNING key
"""
_DELETE_ACCOUNTS = "DELETE FROM store.accounts WHERE owner = $1"
_DELETE_EXPIRED = "DELETE FROM store.accounts WHERE expires_at < $1"


async def forget(db: Transaction, what: Forget) -> int:
    """Delete for good; how many conversations that changed."""
    changed: set[str] = set()
    if what.key is not None and what.numbers:
        changed |= await _blank(db, _BY_NUMBER, json.dumps({"key": what.key, "numbers": list(what.numbers)}))
    elif what.key is not None:
        changed |= await _keys(db, _DELETE, [what.key])
        changed |= await _delete_the_rest(db, [what.key], _DELETE_ARRIVALS)
        if what.deliveries:
            await outbox.enqueue(db, what.key, what.deliveries)
    if what.author is not None:
        await db.rows(_INTERRUPT, what.author)  # first: what is committed before this is seen by what follows
        changed |= await _blank(db, _BY_AUTHOR, what.author)
        changed |= await _keys(db, _BLANK_ARRIVALS, what.author)
        await db.rows(_DELETE_ACCOUNTS, what.author)
    if what.before is not None:
        idle = await _keys(db, _DELETE_IDLE, what.before)
        await _delete_the_rest(db, idle, _DELETE_DONE_OF)
        await db.rows(_DELETE_DONE, what.before)
        await db.rows(_DELETE_OLD_POSTS, what.before)
        await db.rows(_DELETE_EXPIRED, what.before)
        changed |= idle | await _blank(db, _OLD, what.before)
    return len(changed)


async def take_out(db: Transaction, key: str, forgets: Collection[int], rewrites: Mapping[int, Entry]) -> None:
    """Blank some entries of a conversation and give others new bodies, for whoever adds one more that tells of it."""
    held = await db.row(_HOLD_KEY, key)
    if held is None:
        return
    await db.rows(_HOLD_LANES, [key])
    if forgets:
        numbers = json.dumps({"key": key, "numbers": list(forgets)})
        await db.rows(_BLANK.format(which=_BY_NUMBER), numbers, [held["id"]])
    if rewrites:
        await db.rows(_REWRITE, key, list(rewrites), [entry.body for entry in rewrites.values()])
    await db.rows(_CLOSE_LANES, [key])


async def _blank(db: Transaction, which: str, value: str | float) -> set[str]:
    """Blank entries and what was said of them, and drop what sinks were to be told of that."""
    held = await db.rows(_HOLD.format(which=which), value)
    if not held:
        return set()
    conversations, keys = [row["id"] for row in held], [row["key"] for row in held]
    await db.rows(_HOLD_LANES, keys)
    await db.rows(_BLANK.format(which=which), value, conversations)
    await db.rows(_NOTE, conversations)
    await db.rows(_CLOSE_LANES, keys)
    return set(keys)


async def _delete_the_rest(db: Transaction, keys: Collection[str], arrivals: str) -> set[str]:
    """Delete what belongs to conversations whose rows are gone."""
    changed: set[str] = set()
    for statement in (arrivals, _DELETE_LANES, _DELETE_DELIVERIES, _DELETE_POSTS):
        changed |= await _keys(db, statement, list(keys))
    return changed


async def _keys(db: Transaction, statement: str, value: object) -> set[str]:
    return {row["key"] for row in await db.rows(statement, value)}
