"""The floor: what Python's own ``sqlite3`` takes to write and read the same rows, off the event loop, as durably.

One thread owns a connection; callers wait for futures. Work that waits meanwhile goes into one transaction, up to 64
pieces. The tables stand here, so that the floor stays where it is when ours change.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from typing import Any

GROUP = 64
_SCHEMA = """
    CREATE TABLE conversations (
        id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, length INTEGER NOT NULL, marks TEXT NOT NULL,
        created_at REAL NOT NULL, updated_at REAL NOT NULL
    );
    CREATE TABLE entries (
        conversation INTEGER NOT NULL, number INTEGER NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL,
        at REAL NOT NULL, previous INTEGER, about INTEGER, author TEXT NOT NULL
    );
    CREATE UNIQUE INDEX entries_by_number ON entries (conversation, number);
    CREATE TABLE deliveries (
        id INTEGER PRIMARY KEY, sink TEXT NOT NULL, key TEXT NOT NULL, delivery_id TEXT NOT NULL, body BLOB NOT NULL,
        at REAL NOT NULL, author TEXT NOT NULL
    );
    CREATE INDEX deliveries_by_lane ON deliveries (sink, key, id);
"""
_PRAGMAS = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;"
_CREATE = "INSERT INTO conversations (key, length, marks, created_at, updated_at) VALUES (?, ?, ?, ?, ?)"
_GROW = "UPDATE conversations SET length = length + ?, marks = ?, updated_at = ? WHERE key = ? RETURNING id"
_ADD = "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_DELIVER = "INSERT INTO deliveries (sink, key, delivery_id, body, at, author) VALUES (?, ?, ?, ?, ?, ?)"
_LAST = """
    SELECT number, kind, body, at, previous, about, author FROM entries
    WHERE conversation = (SELECT id FROM conversations WHERE key = ?) ORDER BY number DESC LIMIT ?
"""

Work = Callable[[sqlite3.Connection], Any]


class Thread:
    """Runs functions of a connection, in the order in which they came, as few transactions as can be.

    Args:
        path: The file.
        writes: True for transactions that are durable before a caller goes on.
    """

    def __init__(self, path: str, *, writes: bool = True) -> None:
        self._path = path
        self._writes = writes
        self._work: queue.SimpleQueue[tuple[Work, asyncio.Future[Any]] | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    async def do(self, work: Work) -> Any:
        """What ``work`` returns."""
        done = self._loop.create_future()
        self._work.put((work, done))
        return await done

    def stop(self) -> None:
        """Do what waits, and end."""
        self._work.put(None)
        self._thread.join()

    def _serve(self) -> None:
        db = sqlite3.connect(self._path, isolation_level=None)
        db.executescript(_PRAGMAS)
        going_on = True
        while going_on:
            group = [self._work.get()]
            with contextlib.suppress(queue.Empty):
                while len(group) < GROUP:
                    group.append(self._work.get_nowait())
            going_on = None not in group
            items = [item for item in group if item is not None]
            if self._writes:
                db.execute("BEGIN IMMEDIATE")
            found = [(done, work(db)) for work, done in items]
            if self._writes:
                db.execute("COMMIT")
            self._loop.call_soon_threadsafe(_settle, found)
        db.close()


def _settle(found: Sequence[tuple[asyncio.Future[Any], Any]]) -> None:
    for done, result in found:
        done.set_result(result)


def make(path: str) -> None:
    """An empty file."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript(_PRAGMAS + _SCHEMA)


def append(commit: Any) -> Work:
    """The rows of one of our commits."""
    entries, key = commit.entries, commit.key
    marks, at = json.dumps(commit.marks), entries[-1].at
    rows = [
        (commit.expected + place, e.kind, e.body, e.at, e.previous, e.about, e.author)
        for place, e in enumerate(entries)
    ]
    deliveries = [(d.sink, key, d.id, d.body, d.at, "") for d in commit.deliveries]

    def work(db: sqlite3.Connection) -> None:
        if commit.expected:
            (conversation,) = db.execute(_GROW, (len(rows), marks, at, key)).fetchone()
        else:
            conversation = db.execute(_CREATE, (key, len(rows), marks, at, at)).lastrowid
        for row in rows:
            db.execute(_ADD, (conversation, *row))
        for row in deliveries:
            db.execute(_DELIVER, row)

    return work


def last(key: str, count: int) -> Work:
    """A conversation's newest entries."""
    return lambda db: db.execute(_LAST, (key, count)).fetchall()
