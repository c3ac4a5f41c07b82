"""The ledger in SQLite: the one thread that writes is its lock."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence

from dspy_session.stores.ledger import SKEW_SECONDS, Adjustment, Balance, Charge, Refusal, adjusted, charged

SWEEP = 10
"""Accounts that a charge deletes at most because they say nothing any more: more than it adds."""
_BALANCES = """
    SELECT name, owner, used, refill, at, expires_at FROM accounts WHERE name IN (SELECT value FROM json_each(?))
"""
_KEEP = """
    INSERT INTO accounts (name, owner, used, refill, at, expires_at) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, used = excluded.used, refill = excluded.refill,
        at = excluded.at, expires_at = excluded.expires_at
"""
_SWEEP = "DELETE FROM accounts WHERE name IN (SELECT name FROM accounts WHERE expires_at < ? LIMIT ?)"


def charge(db: sqlite3.Connection, charges: Sequence[Charge], at: float) -> Refusal | None:
    """Count all charges, or none of them and say why."""
    after = charged(_balances(db, (charge.account for charge in charges)), charges, at)
    if isinstance(after, Refusal):
        return after
    _keep(db, after)
    db.execute(_SWEEP, (at - SKEW_SECONDS, SWEEP))
    return None


def adjust(db: sqlite3.Connection, adjustments: Sequence[Adjustment], at: float) -> None:
    """Correct what was charged by what was used."""
    balances = _balances(db, (adjustment.account for adjustment in adjustments))
    _keep(db, adjusted(balances, adjustments, at))


def _balances(db: sqlite3.Connection, accounts: Iterable[str]) -> dict[str, Balance]:
    # Not ASCII alone: half of a surrogate pair must be refused here as everywhere, not looked up as something else.
    names = json.dumps(list(accounts), ensure_ascii=False)
    return {name: Balance(*row) for name, *row in db.execute(_BALANCES, (names,))}


def _keep(db: sqlite3.Connection, balances: Mapping[str, Balance]) -> None:
    for name, kept in balances.items():
        db.execute(_KEEP, (name, kept.owner, kept.used, kept.refill, kept.at, kept.expires_at))
