"""Leases in PostgreSQL. Time is the database's own; a fence is never given out twice."""

from __future__ import annotations

from collections.abc import Sequence

from dspy_session.errors import StaleJournalError
from dspy_session.stores.postgres.database import Transaction
from dspy_session.stores.protocol import Lease

_ACQUIRE = """
    INSERT INTO store.conversations AS known (key, owner, fence, lease_until, created_at, updated_at)
    SELECT $1, $2, nextval('store.fences'), now + make_interval(secs => $3), epoch, epoch
    FROM (SELECT clock_timestamp() AS now) AS clock, extract(epoch FROM now) AS epoch
    ON CONFLICT (key) DO UPDATE SET
        owner = excluded.owner,
        fence = nextval('store.fences'),
        lease_until = clock_timestamp() + make_interval(secs => $3)
    WHERE known.lease_until IS NULL OR known.lease_until <= clock_timestamp() OR known.fence = ANY($4::bigint[])
    RETURNING fence, length
"""
# One that has run out and that nobody took is kept too.
_RENEW = """
    UPDATE store.conversations c SET lease_until = clock_timestamp() + make_interval(secs => $4)
    FROM unnest($1::text[], $2::text[], $3::bigint[]) AS ours (key, owner, fence)
    WHERE (c.key, c.owner, c.fence) = (ours.key, ours.owner, ours.fence)
    RETURNING c.key, c.fence
"""
# A conversation that nobody wrote to leaves no row behind.
_RELEASE = """
    WITH emptied AS (
        DELETE FROM store.conversations WHERE key = $1 AND owner = $2 AND fence = $3 AND length = 0
    )
    UPDATE store.conversations SET owner = '', lease_until = NULL
    WHERE key = $1 AND owner = $2 AND fence = $3 AND length > 0
"""
_TELL_IF_OPEN = """
    SELECT pg_notify('dspy_session', $2)
    WHERE EXISTS (SELECT FROM store.arrivals WHERE key = $1 AND state <> 'done')
"""
_HELD = "SELECT 1 FROM store.conversations WHERE key = $1 AND owner = $2 AND fence = $3 FOR UPDATE"


async def acquire(db: Transaction, key: str, owner: str, seconds: float, tried: list[int]) -> Lease | None:
    """Take a conversation; None while somebody has it.

    Args:
        db: Where.
        key: The conversation.
        owner: Who takes it.
        seconds: For how long.
        tried: The fences of earlier attempts, of which nobody knows what became; this one's is added.
    """
    row = await db.row(_ACQUIRE, key, owner, seconds, tried)
    if row is None:
        return None
    tried.append(row["fence"])
    return Lease(key, owner, row["fence"], row["length"])


async def renew(db: Transaction, leases: Sequence[Lease], seconds: float) -> Sequence[Lease]:
    """Keep leases; those that are still held."""
    columns = [lease.key for lease in leases], [lease.owner for lease in leases], [lease.fence for lease in leases]
    kept = {(row["key"], row["fence"]) for row in await db.rows(_RENEW, *columns, seconds)}
    return [lease for lease in leases if (lease.key, lease.fence) in kept]


async def release(db: Transaction, lease: Lease, news: str) -> None:
    """Give a conversation free, and tell the others if there is work in it."""
    await db.rows(_RELEASE, lease.key, lease.owner, lease.fence)
    await db.rows(_TELL_IF_OPEN, lease.key, news)


async def hold(db: Transaction, lease: Lease) -> None:
    """Keep a conversation from being taken over until the transaction ends.

    Raises:
        StaleJournalError: It was taken over.
    """
    if await db.value(_HELD, lease.key, lease.owner, lease.fence) is None:
        raise StaleJournalError(f"the conversation {lease.key!r} was taken over meanwhile; nothing was written")
