"""What stands in a store, read behind its back."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

TABLES = ("conversations", "entries", "arrivals", "deliveries", "lanes", "sinks", "accounts", "posts")
Row = Mapping[str, Any]


async def read(store: str, *names: str) -> dict[str, list[Row]]:
    """Tables of a store, behind its back.

    Args:
        store: Its URL, or the path of its file.
        names: Which; all of them where none is named, which who asks again and again should not wait for.
    """
    names = names or TABLES
    if store.startswith("postgresql:"):
        url, schema = store.split("?schema=")
        db = await asyncpg.connect(url)
        try:
            async with db.transaction(isolation="repeatable_read", readonly=True):
                return {name: [dict(row) for row in await db.fetch(f"SELECT * FROM {schema}.{name}")] for name in names}
        finally:
            await db.close()
    return await asyncio.to_thread(_read_file, store, names)


def _read_file(path: str, names: Sequence[str]) -> dict[str, list[Row]]:
    db = sqlite3.connect(path)
    db.row_factory = sqlite3.Row
    try:
        return {name: [dict(row) for row in db.execute(f"SELECT * FROM {name}")] for name in names}
    finally:
        db.close()


def ids_of(row: Row) -> list[str]:
    """The ids of the messages that an event is answered in, of a row of ``arrivals``."""
    ids = row["message_ids"]
    return list(ids) if isinstance(ids, list) else list(json.loads(ids))
