"""The vault in PostgreSQL."""

from __future__ import annotations

from dspy_session.stores.postgres.database import Transaction
from dspy_session.stores.vault import Kept

_PUT = """
    INSERT INTO store.vault (name, value, until) VALUES ($1, $2, $3)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value, until = excluded.until
"""
_GET = "SELECT name, value, until FROM store.vault WHERE name = $1"
_PULL = "DELETE FROM store.vault WHERE name = $1 RETURNING name, value, until"
_NAMES = "SELECT name FROM store.vault WHERE starts_with(name, $1) ORDER BY name"
_CLEAR = "WITH over AS (DELETE FROM store.vault WHERE until < $1 RETURNING name) SELECT count(*) FROM over"


async def put(db: Transaction, kept: Kept) -> None:
    """Keep something."""
    await db.rows(_PUT, kept.name, kept.value, kept.until)


async def get(db: Transaction, name: str) -> Kept | None:
    """What has a name."""
    row = await db.row(_GET, name)
    return None if row is None else Kept(*row)


async def pull(db: Transaction, name: str) -> Kept | None:
    """What has a name, and is deleted."""
    row = await db.row(_PULL, name)
    return None if row is None else Kept(*row)


async def names(db: Transaction, prefix: str) -> list[str]:
    """The names that begin with ``prefix``."""
    return [row["name"] for row in await db.rows(_NAMES, prefix)]


async def clear(db: Transaction, before: float) -> int:
    """Delete what is over; how much that was."""
    return int(await db.value(_CLEAR, before))
