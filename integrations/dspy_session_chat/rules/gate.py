"""What every message passes before it is answered: who wrote it, how long it is, and whether there is enough left."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cachetools import LRUCache

from dspy_session.errors import ConfigurationError, StoreError
from dspy_session.stores import Charge
from dspy_session.stores.ledger import Ledger
from dspy_session_chat.action import Event
from dspy_session_chat.inbound import Inbound
from dspy_session_chat.rules.access import Access
from dspy_session_chat.rules.limits import Limits, Spending, adjustments, charges, rated, reserved, said_of, too_long
from dspy_session_chat.rules.prices import Price, Prices, Usage, tokens

logger = logging.getLogger(__name__)

REMEMBERED = 10_000
"""Refusals of which it is known that they were said."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A message that may be answered.

    Args:
        charges: What was counted for it.
    """

    charges: tuple[Charge, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """A message that is not answered.

    Args:
        line: What the person is told, in one line; empty when they are not.
        retry_at: When it works again, in seconds since 1970, UTC; None when that is no matter of time.
        known: Whether they were told so already, and it does not work again yet.
    """

    line: str
    retry_at: float | None = None
    known: bool = False

    @property
    def news(self) -> str:
        """The line, to whoever has not read it yet; else nothing."""
        return "" if self.known else self.line


class Gate:
    """Lets messages in, and counts what they use.

    Args:
        limits: How much people may ask.
        access: Who may ask.
        ledger: What counts; the bot's store.
        clock: Seconds since 1970, UTC.
        models: The models that agents ask, by the names that ``dspy.LM`` was given.

    Raises:
        ConfigurationError: The store counts nothing but a rate or a budget is set, or the price of a model is not
            known but a budget in money is set.
    """

    def __init__(
        self, limits: Limits, access: Access, ledger: object, clock: Callable[[], float], models: Iterable[str]
    ) -> None:
        if limits.counts and not isinstance(ledger, Ledger):
            raise ConfigurationError(
                f"{type(ledger).__name__} cannot count, so it keeps no limits: it has no charge and adjust (see Ledger)"
            )
        self._limits = limits
        self._access = access
        self._ledger = ledger if isinstance(ledger, Ledger) and limits.counts else None
        self._clock = clock
        self._models = tuple(dict.fromkeys(models))
        self._prices = Prices(limits.prices)
        self._expected = Spending(limits.reserve)
        self._told: LRUCache[tuple[str, str], float] = LRUCache(REMEMBERED)
        if limits.counts_money:
            self._prices.check(self._models)
            known = [price.dearest for price in map(self._prices.of, self._models) if isinstance(price, Price)]
            self._expected = Spending(limits.reserve, limits.reserve * max(known, default=0.0))

    async def admit(self, event: Event, *, counted: bool = False) -> Admitted | Refused:
        """Decide on a message, and reserve what its answer is taken to need.

        Args:
            event: The message.
            counted: Whether it was counted already, as what asks for another answer is.

        Raises:
            StoreError: The store cannot count at the moment; nothing is decided.
        """
        needed = reserved if counted else charges
        return await self._decide(event, needed(self._limits, event, self._expected, self._clock()))

    async def count(self, event: Event) -> Admitted | Refused:
        """Decide on what needs no turn of its own: a command, or a message that is answered together with others.

        Raises:
            StoreError: As above.
        """
        return await self._decide(event, rated(self._limits, event))

    async def _decide(self, event: Event, counted: tuple[Charge, ...]) -> Admitted | Refused:
        denial = self._access.denial(event)
        if denial is not None:
            return Refused(denial)
        lengthy = too_long(self._limits, event.text) if isinstance(event, Inbound) else None
        if lengthy is not None:
            return Refused(lengthy)
        if self._ledger is None or not counted:
            return Admitted()
        now = self._clock()
        refusal = await self._ledger.charge(counted, now)
        if refusal is None:
            return Admitted(counted)
        to = (event.user, refusal.account)
        known = self._told.get(to, now) > now
        if not known:
            self._told[to] = refusal.at
        return Refused(said_of(self._limits, refusal, now), refusal.at, known)

    async def settle(self, admitted: Admitted, usage: Usage, *, answered: bool = False) -> None:
        """Count what an answer has used in the place of what was reserved for it; also when there was none in the end.

        Whoever was answered shall not hear that this failed: what was reserved stands then.

        Args:
            admitted: What ``admit`` gave.
            usage: What DSPy counted.
            answered: Whether there was an answer: then a model was asked, and where its provider tells no counts, what
                was reserved stands.
        """
        if self._ledger is None or next(self._limits.budgets(), None) is None:  # rates stand as they were counted
            return
        if answered and self._models and not tokens(usage):
            logger.warning("%s told no counts: what was reserved counts", ", ".join(self._models))
            return
        money = self._prices.cost(usage) if self._limits.counts_money else None
        if self._limits.counts_money and money is None:
            logger.warning("No price is known for one of %s: what was reserved counts", ", ".join(usage))
        changes = adjustments(admitted.charges, Spending(tokens(usage), money))
        if not changes:
            return
        try:
            await self._ledger.adjust(changes, self._clock())
        except StoreError as error:
            logger.warning("What an answer used was not counted, what was reserved counts: %s", error)
