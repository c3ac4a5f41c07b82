"""The outbox in PostgreSQL: what goes out, a lane for each sink and conversation.

Whoever touches the deliveries of a lane holds the lane's row first, so their numbers are in the order of their commits.
"""

from __future__ import annotations

from collections.abc import Sequence

from dspy_session.stores.outgoing import Batch, Delivery, LaneInfo, Settlement
from dspy_session.stores.postgres.database import Transaction

# A part of a statement: adds deliveries to the ends of their lanes. The values are those of delivery_values; nothing is
# added when the part `changed` is empty. The update changes nothing and holds the row, so that the lane stays.
DELIVER = """
    opened AS (
        INSERT INTO store.lanes AS lane (sink, key, due_at)
        SELECT d.sink, $1::text, clock_timestamp()
        FROM changed, (SELECT DISTINCT unnest($2::text[]) AS sink) AS d
        WHERE NOT EXISTS (SELECT FROM store.sinks s WHERE s.name = d.sink AND s.disabled)
        ORDER BY d.sink
        ON CONFLICT (sink, key) DO UPDATE SET due_at = lane.due_at
        RETURNING sink
    ), delivered AS (
        INSERT INTO store.deliveries (sink, key, delivery_id, body, at, first_entry, last_entry)
        SELECT d.sink, $1, d.id, d.body, d.at, $6::integer, $7::integer
        FROM opened JOIN unnest($2, $3::text[], $4::bytea[], $5::float8[])
            WITH ORDINALITY AS d (sink, id, body, at, place) USING (sink)
        ORDER BY d.place
    )
"""
_ENQUEUE = f"WITH changed AS (SELECT), {DELIVER} SELECT"
# statement_timestamp() where an index is searched: clock_timestamp() changes while it is, which no index can use.
_CLAIM = """
    WITH lane AS (
        UPDATE store.lanes SET
            due_at = clock_timestamp() + make_interval(secs => $3),
            attempts = attempts + 1,
            fence = nextval('store.fences')
        WHERE (sink, key) = (
            SELECT sink, key FROM store.lanes
            WHERE sink = $1 AND due_at <= statement_timestamp()
                AND NOT EXISTS (
                    SELECT FROM store.sinks WHERE name = $1 AND (disabled OR held_until > statement_timestamp())
                )
            ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED
        )
        RETURNING sink, key, attempts, fence
    )
    SELECT lane.key, lane.attempts, lane.fence, d.sink, d.delivery_id, d.body, d.at
    FROM lane, LATERAL (
        SELECT number, sink, delivery_id, body, at FROM store.deliveries
        WHERE sink = lane.sink AND key = lane.key ORDER BY number LIMIT $2
    ) AS d
    ORDER BY d.number
"""
_OURS = "SELECT 1 FROM store.lanes WHERE sink = $1 AND key = $2 AND fence = $3 FOR UPDATE"
_DELIVERED = """
    DELETE FROM store.deliveries WHERE number IN (
        SELECT number FROM store.deliveries WHERE sink = $1 AND key = $2 ORDER BY number LIMIT $3
    )
"""
# The fence rises, so that a settlement counts once, also when it is sent again because its answer was lost.
_GO_ON = """
    UPDATE store.lanes SET due_at = clock_timestamp(), attempts = 0, reason = '', fence = nextval('store.fences')
    WHERE sink = $1 AND key = $2
"""
_CLOSE = """
    DELETE FROM store.lanes l
    WHERE sink = $1 AND key = $2
        AND NOT EXISTS (SELECT FROM store.deliveries d WHERE (d.sink, d.key) = (l.sink, l.key))
"""
_TRY_AGAIN = """
    UPDATE store.lanes SET
        due_at = clock_timestamp() + make_interval(secs => $3::float8),
        reason = $4,
        fence = nextval('store.fences')
    WHERE sink = $1 AND key = $2
"""
_HOLD = """
    INSERT INTO store.sinks AS known (name, held_until) VALUES ($1, clock_timestamp() + make_interval(secs => $2))
    ON CONFLICT (name) DO UPDATE SET held_until = greatest(known.held_until, excluded.held_until)
"""
_DISABLE = """
    INSERT INTO store.sinks (name, disabled) VALUES ($1, true) ON CONFLICT (name) DO UPDATE SET disabled = true
"""
_ENABLE = "UPDATE store.sinks SET disabled = false, held_until = NULL WHERE name = $1"
_RESUME = """
    WITH resumed AS (
        UPDATE store.lanes SET due_at = clock_timestamp(), attempts = 0
        WHERE sink = $1 AND due_at IS NULL AND ($2::text IS NULL OR key = $2)
        RETURNING key
    )
    SELECT count(*) FROM resumed
"""
_LANES = """
    SELECT l.sink, l.key, d.waiting, d.oldest_at, l.attempts, extract(epoch FROM l.due_at)::float8 AS due_at, l.reason
    FROM store.lanes l, LATERAL (
        SELECT count(*) AS waiting, min(at) AS oldest_at, min(number) AS first FROM store.deliveries
        WHERE sink = l.sink AND key = l.key
    ) AS d
    WHERE ($1::text IS NULL OR l.sink = $1) AND d.waiting > 0
    ORDER BY d.first
"""
_DUE = """
    SELECT greatest(0, extract(epoch FROM greatest(lane.due_at, s.held_until) - statement_timestamp()))::float8
    FROM (
        SELECT due_at FROM store.lanes WHERE sink = $1 AND due_at IS NOT NULL ORDER BY due_at LIMIT 1
    ) AS lane LEFT JOIN store.sinks s ON s.name = $1
    WHERE s.disabled IS NOT true
"""


def delivery_values(
    key: str, deliveries: Sequence[Delivery], first: int | None, last: int | None
) -> tuple[object, ...]:
    """What ``DELIVER`` takes.

    Args:
        key: The conversation.
        deliveries: What to deliver.
        first: The first entry that is committed with it; None when nobody knows.
        last: The last one.
    """
    return (
        key,
        [delivery.sink for delivery in deliveries],
        [delivery.id for delivery in deliveries],
        [delivery.body for delivery in deliveries],
        [delivery.at for delivery in deliveries],
        first,
        last,
    )


async def enqueue(db: Transaction, key: str, deliveries: Sequence[Delivery]) -> None:
    """Add deliveries to the end of a conversation's lanes."""
    await db.rows(_ENQUEUE, *delivery_values(key, deliveries, None, None))


async def claim(db: Transaction, sink: str, limit: int, seconds: float) -> Batch | None:
    """Take deliveries of the lane that has been due longest."""
    rows = await db.rows(_CLAIM, sink, limit, seconds)
    if not rows:
        return None
    deliveries = [Delivery(row["sink"], row["delivery_id"], row["body"], row["at"]) for row in rows]
    return Batch(sink, rows[0]["key"], rows[0]["fence"], rows[0]["attempts"], deliveries)


async def settle(db: Transaction, batch: Batch, settlement: Settlement) -> bool:
    """Do with a batch what was decided; False when it is no longer the caller's."""
    lane = (batch.sink, batch.key)
    if await db.value(_OURS, *lane, batch.fence) is None:
        return False
    if settlement.outcome == "disabled":
        await db.rows(_DISABLE, batch.sink)
        await db.rows("DELETE FROM store.lanes WHERE sink = $1", batch.sink)
        await db.rows("DELETE FROM store.deliveries WHERE sink = $1", batch.sink)
    elif settlement.outcome == "delivered":
        await db.rows(_DELIVERED, *lane, len(batch.deliveries))
        await db.rows(_GO_ON, *lane)
        await db.rows(_CLOSE, *lane)
    else:
        delay = settlement.delay if settlement.outcome == "retry" else None  # no time is due never
        await db.rows(_TRY_AGAIN, *lane, delay, settlement.reason)
    if settlement.hold > 0:
        await db.rows(_HOLD, batch.sink, settlement.hold)
    return True


async def lanes(db: Transaction, sink: str | None) -> Sequence[LaneInfo]:
    """The lanes in which something waits, the one with the oldest delivery first."""
    return [LaneInfo(*row) for row in await db.rows(_LANES, sink)]


async def resume(db: Transaction, sink: str, key: str | None) -> int:
    """Start parked lanes, or a disabled sink, again."""
    await db.rows(_ENABLE, sink)
    return int(await db.value(_RESUME, sink, key))


async def due(db: Transaction, sink: str) -> float | None:
    """Seconds until something may be claimed; None when nothing waits."""
    seconds: float | None = await db.value(_DUE, sink)
    return seconds
