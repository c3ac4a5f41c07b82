"""Bring the tables up to this version."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files

from dspy_session.errors import StoreError
from dspy_session.stores.postgres.address import Address
from dspy_session.stores.postgres.database import Transaction

_IS_THERE = "SELECT to_regclass('store.dspy_session_schema') IS NOT NULL"
_VERSION = "SELECT version, readable_by FROM store.dspy_session_schema"
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('dspy_session ' || $1, 0))"  # ends with the transaction
_HAS_SCHEMA = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)"
_BEGIN = """
    CREATE TABLE store.dspy_session_schema (
        version     integer NOT NULL,
        readable_by integer NOT NULL  -- the oldest version of the kit's schema that can still work with these tables
    );
    INSERT INTO store.dspy_session_schema VALUES (0, 0);
"""
_ADVANCE = "UPDATE store.dspy_session_schema SET version = $1, readable_by = $2"
_HEADER = re.compile(r"-- Version (\d+), readable by version (\d+)\.")


@dataclass(frozen=True, slots=True)
class Migration:
    """A step from one version of the tables to the next.

    Args:
        version: The version that it leads to.
        readable_by: The oldest version that can still work with the tables after it.
        sql: What to do.
    """

    version: int
    readable_by: int
    sql: str


def migrations() -> list[Migration]:
    """All steps, in order: the files in ``migrations``, whose first line says what they lead to."""
    folder = files("dspy_session.stores.postgres") / "migrations"
    steps = []
    for file in folder.iterdir():
        if file.name.endswith(".sql"):
            sql = file.read_text("utf-8")
            header = _HEADER.match(sql)
            assert header is not None, file.name
            steps.append(Migration(int(header[1]), int(header[2]), sql))
    return sorted(steps, key=lambda step: step.version)


async def bring_up(db: Transaction, address: Address, steps: list[Migration]) -> None:
    """Make what is missing. Of several processes that start at once, one does it.

    Raises:
        StoreError: A newer version of the kit has made tables that this one cannot read.
    """
    ours = steps[-1].version
    if await _found(db, address, ours) >= ours:
        return
    await db.value(_LOCK, address.schema)
    if not await db.value(_HAS_SCHEMA, address.schema):
        await db.script(f"CREATE SCHEMA {address.quoted_schema}")
    found = await _found(db, address, ours)
    if found < 0:
        await db.script(_BEGIN)
    for step in steps:
        if step.version > found:
            await db.script(step.sql)
            await db.rows(_ADVANCE, step.version, step.readable_by)


async def _found(db: Transaction, address: Address, ours: int) -> int:
    """The version of the tables, -1 when there are none."""
    row = await db.row(_VERSION) if await db.value(_IS_THERE) else None
    if row is None:
        return -1
    if row["readable_by"] > ours:
        raise StoreError(
            f"{address.name} was written by a newer version of dspy-session-kit (schema {row['version']}, readable "
            f"from {row['readable_by']} on, this one knows {ours}): upgrade, or name another schema with ?schema=NAME"
        )
    return int(row["version"])
