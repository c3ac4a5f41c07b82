"""What limits count: accounts that fill with each charge and drain as time goes by, shared by all who use a store.

An account is a name and how much of it is used. One that refills is a bucket (twenty messages a minute); one that does
not is a budget, whose name carries the day that it is for. The rule is here, and each store asks it under its own lock,
so that several processes never admit more than one would.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

SKEW_SECONDS = 600.0
"""How far the clocks of those who share a store may be apart. Within it a clock that is behind refills nothing; a
time that is further ahead was somebody's mistake, and nobody waits for what a bucket has counted by it."""
_ROUNDING = 1e-9
"""Of a capacity: sums of money are no exact numbers."""
_TICK = 1e-6
"""Seconds; times since 1970 are a quarter of that apart."""


@dataclass(frozen=True, slots=True)
class Charge:
    """What is to be counted on an account.

    Args:
        account: Its name.
        amount: How much is used by this, in the account's own unit; 0 or more.
        capacity: How much may be used at once.
        refill: How much comes back in a second; 0 for a budget.
        ends_at: When a budget ends, in seconds since 1970, UTC: what it has counted is dropped some time after that.
            None for never; of no account where something comes back.
        owner: The user whose account it is (``slack:T1:U1``), so that it goes when they are forgotten; empty for
            nobody's.
    """

    account: str
    amount: float
    capacity: float
    refill: float = 0.0
    ends_at: float | None = None
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nothing was charged.

    Args:
        account: The account that has too little left; of several the one that takes longest.
        at: When there is enough if nobody else uses it, in seconds since 1970, UTC; infinite for an amount above the
            capacity.
    """

    account: str
    at: float


@dataclass(frozen=True, slots=True)
class Adjustment:
    """By how much a charge was wrong.

    Args:
        account: The account.
        amount: What was used besides; below 0 for what was not needed.
    """

    account: str
    amount: float


@runtime_checkable
class Ledger(Protocol):
    """Counts, for all processes that share a store.

    A charge that was made stands, whatever happens to the process. One whose outcome a lost connection hides may count
    twice, never not at all.
    """

    async def charge(self, charges: Sequence[Charge], at: float) -> Refusal | None:
        """Count all charges, or none of them and say why.

        Args:
            charges: What is to be counted; an account may be named several times.
            at: The time, in seconds since 1970, UTC.
        """
        ...

    async def adjust(self, adjustments: Sequence[Adjustment], at: float) -> None:
        """Correct what was charged by what was used: beyond the capacity if need be, never below nothing.

        An account that is gone (its day is over, its owner forgotten) stays gone.

        Args:
            adjustments: By how much.
            at: The time, in seconds since 1970, UTC.
        """
        ...


@dataclass(frozen=True, slots=True)
class Balance:
    """An account as a store keeps it.

    Args:
        owner: As in the charge that was last made on it.
        used: How much was used at the time ``at``.
        refill: How much of that comes back in a second.
        at: When, in seconds since 1970, UTC.
        expires_at: When it is no different from an account that was never used, likewise.
    """

    owner: str
    used: float
    refill: float
    at: float
    expires_at: float

    def now(self, at: float) -> Balance:
        """As it stands at a time."""
        if self.at > at + SKEW_SECONDS:
            return replace(self, used=0.0 if self.refill else self.used, at=at)
        elapsed = max(0.0, at - self.at)
        return replace(self, used=max(0.0, self.used - self.refill * elapsed), at=max(self.at, at))

    def ending(self, ends_at: float) -> Balance:
        """With the time at which it expires: when it is empty again, or at ``ends_at`` where nothing comes back."""
        return replace(self, expires_at=self.at + self.used / self.refill if self.refill else ends_at)


def charged(balances: Mapping[str, Balance], charges: Sequence[Charge], at: float) -> dict[str, Balance] | Refusal:
    """The accounts after some charges, or why these are refused.

    Args:
        balances: The accounts as they are kept, by name; those that nobody has used yet are missing.
        charges: What is to be counted.
        at: The time, in seconds since 1970, UTC.

    >>> charged({}, [Charge("a", 1, 1, refill=0.5)], 100.0)["a"].expires_at
    102.0
    >>> charged({"a": Balance("", 1.0, 0.5, 100.0, 102.0)}, [Charge("a", 1, 1, refill=0.5)], 100.5)
    Refusal(account='a', at=102.0)
    """
    after: dict[str, Balance] = {}
    refusals: list[Refusal] = []
    for charge in charges:
        found = after.get(charge.account) or balances.get(charge.account)
        before = Balance("", 0.0, 0.0, at, at) if found is None else found.now(at)
        used, ends_at = before.used + charge.amount, math.inf if charge.ends_at is None else charge.ends_at
        excess = used - charge.capacity
        if excess > _ROUNDING * charge.capacity + _TICK * charge.refill:
            if charge.amount > charge.capacity:
                refused_until = math.inf
            else:
                refused_until = before.at + excess / charge.refill if charge.refill else ends_at
            refusals.append(Refusal(charge.account, refused_until))
        after[charge.account] = Balance(charge.owner, used, charge.refill, before.at, 0.0).ending(ends_at)
    return max(refusals, key=lambda refusal: refusal.at, default=None) or after


def adjusted(balances: Mapping[str, Balance], adjustments: Sequence[Adjustment], at: float) -> dict[str, Balance]:
    """The accounts after some adjustments; what is missing in ``balances`` stays missing.

    >>> adjusted({"a": Balance("", 5.0, 0.0, 100.0, 200.0)}, [Adjustment("a", -7), Adjustment("b", 1)], 101.0)
    {'a': Balance(owner='', used=0.0, refill=0.0, at=101.0, expires_at=200.0)}
    """
    after: dict[str, Balance] = {}
    for adjustment in adjustments:
        found = after.get(adjustment.account) or balances.get(adjustment.account)
        if found is not None:
            before = found.now(at)
            used = max(0.0, before.used + adjustment.amount)
            after[adjustment.account] = replace(before, used=used).ending(found.expires_at)
    return after
