"""The inbox in SQLite: what came in, until its answer is posted."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection

from dspy_session.stores.incoming import Arrival, PostedTurn, Posting, Work

_RECEIVE = """
    INSERT INTO arrivals (key, event_id, author, state, payload, reply, sent_at, received_at, attempts, message_ids)
    VALUES (?, ?, ?, 'waiting', ?, '', ?, ?, 0, '[]') ON CONFLICT (key, event_id) DO NOTHING
"""
# By name: SQLite would rather search all messages that a conversation ever had.
_WAITING = "SELECT key FROM arrivals INDEXED BY arrivals_open WHERE state <> 'done' GROUP BY key ORDER BY min(id)"
_NEXT = """
    SELECT id, event_id, payload, sent_at, received_at, author, attempts, reply, message_ids
    FROM arrivals INDEXED BY arrivals_open
    WHERE key = ? AND state <> 'done' ORDER BY state = 'waiting', sent_at, id LIMIT 1
"""
_PENDING = """
    SELECT key, event_id, payload, sent_at, received_at, author FROM arrivals INDEXED BY arrivals_open
    WHERE key = ? AND state = 'waiting' AND state <> 'done' ORDER BY sent_at, id
"""
_POSTED = """
    UPDATE arrivals SET state = 'done', payload = '', reply = '', author = '', message_ids = ?
    WHERE key = ? AND event_id = ? AND state = 'answered'
"""
_SHOWN = "UPDATE arrivals SET message_ids = ? WHERE key = ? AND event_id = ? AND state <> 'done'"
_TIE = """
    INSERT INTO posts (scope, message_id, key, turn_id, at) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (scope, message_id) DO UPDATE SET key = ?3, turn_id = ?4, at = ?5
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
    row, event_id, payload, sent_at, received_at, author, attempts, reply, message_ids = found
    db.execute("UPDATE arrivals SET attempts = attempts + 1 WHERE id = ?", (row,))
    arrival = Arrival(key, event_id, payload, sent_at, received_at, author)
    return Work(arrival, attempts + 1, reply, tuple(json.loads(message_ids)))


def pending(db: sqlite3.Connection, key: str) -> list[Arrival]:
    """The messages of a conversation that are not answered yet."""
    return [Arrival(*row) for row in db.execute(_PENDING, (key,))]


def posted(db: sqlite3.Connection, key: str, posting: Posting, now: float) -> None:
    """The answer to a message is posted, or a part of it."""
    row = json.dumps(list(posting.message_ids)), key, posting.event_id
    db.execute(_POSTED if posting.done else _SHOWN, row)
    if posting.turn_id:
        posts = [(posting.scope, each, key, posting.turn_id, now) for each in posting.message_ids]
        db.executemany(_TIE, posts)


def posted_as(db: sqlite3.Connection, scope: str, message_id: str) -> PostedTurn | None:
    """The turn whose answer was posted as that message."""
    found = db.execute("SELECT key, turn_id FROM posts WHERE scope = ? AND message_id = ?", (scope, message_id))
    row = found.fetchone()
    return None if row is None else PostedTurn(*row)


def received_in(db: sqlite3.Connection, event_id: str) -> list[str]:
    """The conversations that a message came to."""
    return [key for (key,) in db.execute("SELECT key FROM arrivals WHERE event_id = ? ORDER BY id", (event_id,))]
