"""The outbox in SQLite: what goes out, a lane for each sink and conversation."""

from __future__ import annotations

import json
import sqlite3

from dspy_session.stores.outgoing import Batch, Delivery, LaneInfo, Settlement

_CLAIM = """
    UPDATE lanes SET fence = fence + 1, leased_until = ?3
    WHERE (sink, key) = (
        SELECT sink, key FROM lanes
        WHERE sink = ?1 AND NOT parked AND due_at <= ?2 AND leased_until <= ?2
        ORDER BY due_at LIMIT 1
    ) AND NOT EXISTS (SELECT 1 FROM sinks WHERE name = ?1 AND (disabled OR held_until > ?2))
    RETURNING key, fence, attempts
"""
_FIRST = "SELECT sink, delivery_id, body, at FROM deliveries WHERE sink = ? AND key = ? ORDER BY id LIMIT ?"
_OURS = "SELECT attempts FROM lanes WHERE sink = ? AND key = ? AND fence = ? AND leased_until > 0"
_DELIVERED = """
    DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries WHERE sink = ?1 AND key = ?2 ORDER BY id LIMIT ?3)
    AND delivery_id IN (SELECT value FROM json_each(?4))
"""
_GO_ON = """
    UPDATE lanes SET leased_until = 0, attempts = 0, reason = '', due_at = ? WHERE sink = ? AND key = ?
    AND EXISTS (SELECT 1 FROM deliveries d WHERE d.sink = lanes.sink AND d.key = lanes.key)
"""
_RETRY = """
    UPDATE lanes SET leased_until = 0, attempts = attempts + 1, reason = ?, due_at = ?, parked = ?
    WHERE sink = ? AND key = ?
"""
_HOLD = """
    INSERT INTO sinks (name, held_until, disabled) VALUES (?1, ?2, ?3)
    ON CONFLICT (name) DO UPDATE SET held_until = max(held_until, ?2), disabled = max(disabled, ?3)
"""
_LANES = """
    SELECT l.sink, l.key, count(*), min(d.at), l.attempts, CASE WHEN l.parked THEN NULL ELSE l.due_at END, l.reason
    FROM lanes l JOIN deliveries d ON d.sink = l.sink AND d.key = l.key
    WHERE ?1 IS NULL OR l.sink = ?1 GROUP BY l.sink, l.key ORDER BY min(d.id)
"""
_RESUME = """
    UPDATE lanes SET parked = 0, attempts = 0, due_at = ?1 WHERE sink = ?2 AND parked AND (?3 IS NULL OR key = ?3)
"""
# Two searches that find little, where one would go through all lanes: a lane that is claimed was due before.
_NEXT_DUE = """
    SELECT due_at FROM lanes INDEXED BY lanes_due
    WHERE sink = ?1 AND NOT parked AND leased_until <= ?2 ORDER BY due_at LIMIT 1
"""
_CLAIM_ENDS = """
    SELECT min(leased_until) FROM lanes INDEXED BY lanes_due
    WHERE sink = ?1 AND NOT parked AND due_at <= ?2 AND leased_until > ?2
"""


def claim(db: sqlite3.Connection, sink: str, limit: int, now: float, until: float) -> Batch | None:
    """Take deliveries of the lane that has been due longest."""
    found = db.execute(_CLAIM, (sink, now, until)).fetchone()
    if found is None:
        return None
    key, fence, attempts = found
    deliveries = [Delivery(*row) for row in db.execute(_FIRST, (sink, key, limit))]
    return Batch(sink, key, fence, attempts + 1, deliveries)


def settle(db: sqlite3.Connection, batch: Batch, settlement: Settlement, now: float) -> bool:
    """Do with a batch what was decided; False when it is no longer the caller's."""
    sink, key = batch.sink, batch.key
    if db.execute(_OURS, (sink, key, batch.fence)).fetchone() is None:
        return False
    if settlement.outcome == "disabled":
        db.execute(_HOLD, (sink, 0.0, 1))
        db.execute("DELETE FROM deliveries WHERE sink = ?", (sink,))
        db.execute("DELETE FROM lanes WHERE sink = ?", (sink,))
        return True
    if settlement.outcome == "delivered":
        ids = json.dumps([delivery.id for delivery in batch.deliveries])  # some may have been forgotten meanwhile
        db.execute(_DELIVERED, (sink, key, len(batch.deliveries), ids))
        if not db.execute(_GO_ON, (now, sink, key)).rowcount:
            db.execute("DELETE FROM lanes WHERE sink = ? AND key = ?", (sink, key))
    else:
        parked = settlement.outcome == "parked"
        db.execute(_RETRY, (settlement.reason, now + settlement.delay, parked, sink, key))
    if settlement.hold > 0:
        db.execute(_HOLD, (sink, now + settlement.hold, 0))
    return True


def lanes(db: sqlite3.Connection, sink: str | None) -> list[LaneInfo]:
    """The lanes in which something waits, the one with the oldest delivery first."""
    return [LaneInfo(*row) for row in db.execute(_LANES, (sink,))]


def resume(db: sqlite3.Connection, sink: str, key: str | None, now: float) -> int:
    """Start parked lanes, or a disabled sink, again."""
    db.execute("UPDATE sinks SET disabled = 0, held_until = 0 WHERE name = ?", (sink,))
    return db.execute(_RESUME, (now, sink, key)).rowcount


def due(db: sqlite3.Connection, sink: str, now: float) -> float | None:
    """Seconds until something may be claimed; None when nothing waits."""
    found = db.execute(_NEXT_DUE, (sink, now)).fetchone()
    soonest = None if found is None else found[0]
    if soonest is None or soonest > now:
        (ends,) = db.execute(_CLAIM_ENDS, (sink, now)).fetchone()
        soonest = min((time for time in (soonest, ends) if time is not None), default=None)
    if soonest is None:
        return None
    held = db.execute("SELECT held_until FROM sinks WHERE name = ? AND NOT disabled", (sink,)).fetchone()
    until: float = max(soonest, held[0] if held else 0.0, now)
    return until - now
