"""The inbox in SQLite: what came in, until its answer is posted."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence

from dspy_session.stores.protocol import Arrival, Work

_RECEIVE = """
    INSERT INTO arrivals (key, event_id, author, state, payload, reply, sent_at, received_at, attempts, message_ids)
    VALUES (?, ?, ?, 'waiting', ?, '', ?, ?, 0, '[]') ON CONFLICT (key, event_id) DO NOTHING
"""
# By name: SQLite would rather search all messages that a conversation ever had.
_WAITING = "SELECT key FROM arrivals INDEXED BY arrivals_open WHERE state <> 'done' GROUP BY key ORDER BY min(id)"
_NEXT = """
    SELECT id, event_id, payload, sent_at, received_at, author, attempts, reply FROM arrivals INDEXED BY arrivals_open
    WHERE key = ? AND state <> 'done' ORDER BY state = 'waiting', sent_at, id LIMIT 1
"""
_POSTED = """
    UPDATE arrivals SET state = 'done', payload = '', reply = '', author = '', message_ids = ?
    WHERE key = ? AND event_id = ? AND state = 'answered'
"""


def receive(db: sqlite3.Connection, arrival: Arrival) -> bool:
    """Keep a message; False when it was known already."""
    row = (
        arrival.key,
        arrival.event_id,
        arrival.author,
        arrival.payload,
        arrival.sent_at,
        arrival.received_at,
    )
    return db.execute(_RECEIVE, row).rowcount == 1


def knows(db: sqlite3.Connection, key: str, event_id: str) -> bool:
    """True when a message is answered, or done."""
    known = "SELECT 1 FROM arrivals WHERE key = ? AND event_id = ? AND state <> 'waiting'"
    return db.execute(known, (key, event_id)).fetchone() is not None


def waiting(db: sqlite3.Connection, held: Collection[str], limit: int) -> list[str]:
    """Conversations with work that nobody works on."""
    found: list[str] = []
    for (key,) in db.execute(_WAITING):
        if key not in held:
            found.append(key)
            if len(found) == limit:
                break
    return found


def take(db: sqlite3.Connection, key: str) -> Work | None:
    """What is to be done next in a conversation."""
    found = db.execute(_NEXT, (key,)).fetchone()
    if found is None:
        return None
    row, event_id, payload, sent_at, received_at, author, attempts, reply = found
    db.execute("UPDATE arrivals SET attempts = attempts + 1 WHERE id = ?", (row,))
    return Work(Arrival(key, event_id, payload, sent_at, received_at, author), attempts + 1, reply)


def posted(db: sqlite3.Connection, key: str, event_id: str, message_ids: Sequence[str]) -> None:
    """The answer to a message is posted."""
    db.execute(_POSTED, (json.dumps(list(message_ids)), key, event_id))
