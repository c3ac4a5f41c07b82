"""The ledger in PostgreSQL: whoever counts on an account holds its row.

Rows are held in the order of their names, so that two who count on the same accounts never wait for each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dspy_session.stores.ledger import SKEW_SECONDS, Adjustment, Balance, Charge, Refusal, adjusted, charged
from dspy_session.stores.postgres.database import Transaction

SWEEP = 10
"""Accounts that a charge deletes at most because they say nothing any more: more than it adds."""
# An account that nobody has used yet has no row that could be held: it gets an empty one. In one statement, or somebody
# might delete the row of another one before it is held.
_OPEN = """
    INSERT INTO store.accounts (name, owner, used, refill, at, expires_at)
    SELECT name, '', 0, 0, $2, $2 FROM unnest($1::text[]) AS name ORDER BY name COLLATE "C"
    ON CONFLICT (name) DO UPDATE SET name = excluded.name
    RETURNING name, owner, used, refill, at, expires_at
"""
_HOLD = """
    SELECT name, owner, used, refill, at, expires_at FROM store.accounts
    WHERE name = ANY($1::text[]) ORDER BY name FOR UPDATE
"""
_KEEP = """
    UPDATE store.accounts a
    SET owner = kept.owner, used = kept.used, refill = kept.refill, at = kept.at, expires_at = kept.expires_at
    FROM unnest(
        $1::text[], $2::text[], $3::double precision[], $4::double precision[], $5::double precision[],
        $6::double precision[]
    ) AS kept (name, owner, used, refill, at, expires_at)
    WHERE a.name = kept.name
"""
# One that is held is in use, or swept by somebody else.
_SWEEP = """
    DELETE FROM store.accounts WHERE name IN (
        SELECT name FROM store.accounts WHERE expires_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED
    )
"""


async def charge(db: Transaction, charges: Sequence[Charge], at: float) -> Refusal | None:
    """Count all charges, or none of them and say why."""
    names = _names(charge.account for charge in charges)
    after = charged(_balances(await db.rows(_OPEN, names, at)), charges, at)
    if isinstance(after, Refusal):
        return after
    await _keep(db, after)
    await db.rows(_SWEEP, at - SKEW_SECONDS, SWEEP)
    return None


async def adjust(db: Transaction, adjustments: Sequence[Adjustment], at: float) -> None:
    """Correct what was charged by what was used."""
    names = _names(adjustment.account for adjustment in adjustments)
    await _keep(db, adjusted(_balances(await db.rows(_HOLD, names)), adjustments, at))


def _names(accounts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(accounts))


def _balances(rows: Iterable[Iterable[Any]]) -> dict[str, Balance]:
    return {name: Balance(*kept) for name, *kept in rows}


async def _keep(db: Transaction, balances: Mapping[str, Balance]) -> None:
    kept = list(balances.values())
    await db.rows(
        _KEEP,
        list(balances),
        [balance.owner for balance in kept],
        [balance.used for balance in kept],
        [balance.refill for balance in kept],
        [balance.at for balance in kept],
        [balance.expires_at for balance in kept],
    )
