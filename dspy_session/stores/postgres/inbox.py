"""The inbox in PostgreSQL: what came in, until its answer is posted."""

from __future__ import annotations

from collections.abc import Sequence

from dspy_session.stores.incoming import Arrival, PostedTurn, Posting, Work
from dspy_session.stores.postgres.database import Transaction
from dspy_session.stores.postgres.leasing import hold
from dspy_session.stores.protocol import Lease

_RECEIVE = """
    WITH received AS (
        INSERT INTO store.arrivals (key, event_id, author, state, payload, reply, sent_at, received_at)
        VALUES ($1, $2, $3, 'waiting', $4, '', $5, $6)
        ON CONFLICT (key, event_id) DO NOTHING
        RETURNING key
    )
    SELECT pg_notify('dspy_session', $7) FROM received
"""
_KNOWS = "SELECT EXISTS (SELECT FROM store.arrivals WHERE key = $1 AND event_id = $2 AND state <> 'waiting')"
_WAITING = """
    SELECT a.key
    FROM (SELECT key, min(number) AS first FROM store.arrivals WHERE state <> 'done' GROUP BY key) AS a
        LEFT JOIN store.conversations c ON c.key = a.key
    WHERE c.lease_until IS NULL OR c.lease_until <= clock_timestamp()
    ORDER BY a.first LIMIT $1
"""
_TAKE = """
    UPDATE store.arrivals SET attempts = attempts + 1
    WHERE key = $1 AND event_id = (
        SELECT event_id FROM store.arrivals WHERE key = $1 AND state <> 'done'
        ORDER BY state = 'waiting', sent_at, number LIMIT 1
    )
    RETURNING event_id, payload, sent_at, received_at, author, attempts, reply, message_ids
"""
_PENDING = """
    SELECT key, event_id, payload, sent_at, received_at, author FROM store.arrivals
    WHERE key = $1 AND state = 'waiting' ORDER BY sent_at, number
"""
_POSTED = """
    UPDATE store.arrivals SET state = 'done', payload = '', reply = '', author = '', message_ids = $3
    WHERE key = $1 AND event_id = $2 AND state = 'answered'
"""


_SHOWN = "UPDATE store.arrivals SET message_ids = $3 WHERE key = $1 AND event_id = $2 AND state <> 'done'"
_TIE = """
    INSERT INTO store.posts (scope, message_id, key, turn_id, at)
    SELECT $1, id, $3, $4, extract(epoch FROM clock_timestamp()) FROM unnest($2::text[]) AS id
    ON CONFLICT (scope, message_id) DO UPDATE SET key = excluded.key, turn_id = excluded.turn_id, at = excluded.at
"""
_POSTED_AS = "SELECT key, turn_id FROM store.posts WHERE scope = $1 AND message_id = $2"
_RECEIVED_IN = "SELECT key FROM store.arrivals WHERE event_id = $1 ORDER BY number"


async def receive(db: Transaction, arrival: Arrival, news: str) -> bool:
    """Keep a message, and tell everybody; False when it was known already."""
    values = arrival.key, arrival.event_id, arrival.author, arrival.payload, arrival.sent_at, arrival.received_at
    return await db.row(_RECEIVE, *values, news) is not None


async def knows(db: Transaction, key: str, event_id: str) -> bool:
    """True when a message is answered, or done."""
    return bool(await db.value(_KNOWS, key, event_id))


async def waiting(db: Transaction, limit: int) -> Sequence[str]:
    """Conversations with work that nobody works on."""
    return [row["key"] for row in await db.rows(_WAITING, limit)]


async def take(db: Transaction, lease: Lease) -> Work | None:
    """What is to be done next in a conversation."""
    await hold(db, lease)
    row = await db.row(_TAKE, lease.key)
    if row is None:
        return None
    arrival = Arrival(lease.key, row["event_id"], row["payload"], row["sent_at"], row["received_at"], row["author"])
    return Work(arrival, row["attempts"], row["reply"], tuple(row["message_ids"]))


async def pending(db: Transaction, key: str) -> Sequence[Arrival]:
    """The messages of a conversation that are not answered yet."""
    return [Arrival(*row) for row in await db.rows(_PENDING, key)]


async def posted(db: Transaction, lease: Lease, posting: Posting) -> None:
    """The answer to a message is posted, or a part of it."""
    await hold(db, lease)
    message_ids = list(dict.fromkeys(posting.message_ids))
    await db.rows(_POSTED if posting.done else _SHOWN, lease.key, posting.event_id, message_ids)
    if posting.turn_id:
        await db.rows(_TIE, posting.scope, message_ids, lease.key, posting.turn_id)


async def posted_as(db: Transaction, scope: str, message_id: str) -> PostedTurn | None:
    """The turn whose answer was posted as that message."""
    row = await db.row(_POSTED_AS, scope, message_id)
    return None if row is None else PostedTurn(*row)


async def received_in(db: Transaction, event_id: str) -> Sequence[str]:
    """The conversations that a message came to."""
    return [row["key"] for row in await db.rows(_RECEIVED_IN, event_id)]
