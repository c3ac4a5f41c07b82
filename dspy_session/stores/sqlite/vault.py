"""The vault in SQLite."""

from __future__ import annotations

import sqlite3

from dspy_session.stores.vault import Kept

_PUT = """
    INSERT INTO vault (name, value, until) VALUES (?, ?, ?)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value, until = excluded.until
"""
_GET = "SELECT name, value, until FROM vault WHERE name = ?"
_PULL = "DELETE FROM vault WHERE name = ? RETURNING name, value, until"
_NAMES = "SELECT name FROM vault WHERE substr(name, 1, length(?1)) = ?1 ORDER BY name"
_CLEAR = "DELETE FROM vault WHERE until < ?"


def put(db: sqlite3.Connection, kept: Kept) -> None:
    """Keep something."""
    db.execute(_PUT, (kept.name, kept.value, kept.until))


def get(db: sqlite3.Connection, name: str) -> Kept | None:
    """What has a name."""
    return _kept(db.execute(_GET, (name,)).fetchone())


def pull(db: sqlite3.Connection, name: str) -> Kept | None:
    """What has a name, and is deleted."""
    return _kept(db.execute(_PULL, (name,)).fetchone())


def names(db: sqlite3.Connection, prefix: str) -> list[str]:
    """The names that begin with ``prefix``."""
    return [name for (name,) in db.execute(_NAMES, (prefix,))]


def clear(db: sqlite3.Connection, before: float) -> int:
    """Delete what is over; how much that was."""
    return db.execute(_CLEAR, (before,)).rowcount


def _kept(row: tuple[str, str, float | None] | None) -> Kept | None:
    return None if row is None else Kept(*row)
