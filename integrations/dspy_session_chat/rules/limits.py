"""How much people may ask of the bot, and what they are told when it is enough."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Self
from urllib.parse import quote

from dspy_session.errors import ConfigurationError
from dspy_session.stores import Adjustment, Charge, Refusal
from dspy_session_chat.action import Event
from dspy_session_chat.rules.prices import Prices

_RATE = re.compile(r"\s*(\d+)\s*/\s*(\d*)\s*(s|sec|seconds?|m|min|minutes?|h|hours?|d|days?)\s*", re.IGNORECASE)
_PERIODS = {
    "s": ("second", 1.0, "a"),
    "m": ("minute", 60.0, "a"),
    "h": ("hour", 3600.0, "an"),
    "d": ("day", 86400.0, "a"),
}

RATES = ("per_user", "per_channel", "per_workspace")
_TOKENS = ("tokens_a_day", "user_tokens_a_day")
_MONEY = ("money_a_day", "user_money_a_day")
_POSITIVE = (*_TOKENS, *_MONEY, "input_characters", "reply_characters", "seconds", "reserve")
_WHOLE = (*_TOKENS, "input_characters", "reply_characters", "reserve", "history_turns", "tool_steps")

_SAYINGS = {
    "per_user": "You have reached your limit of {rate}",
    "per_channel": "This channel has reached its limit of {rate}",
    "per_workspace": "This workspace has reached its limit of {rate}",
    "tokens_a_day": "I have used up what I may use in a day",
    "money_a_day": "I have used up what I may use in a day",
    "user_tokens_a_day": "You have used up what you may use of me in a day",
    "user_money_a_day": "You have used up what you may use of me in a day",
}


@dataclass(frozen=True, slots=True)
class Rate:
    """So many messages in a time. All of them may come at once; then they come back one by one.

    Args:
        count: How many.
        periods: In how many periods.
        period: A second, a minute, an hour or a day: ``"s"``, ``"m"``, ``"h"`` or ``"d"``.
    """

    count: int
    periods: int
    period: str

    @classmethod
    def parse(cls, text: str, name: str = "a rate") -> Self:
        """The rate that is written as ``"20/m"``, ``"100/hour"`` or ``"5/10s"``.

        Args:
            text: The rate.
            name: Whose it is, for the error.

        Raises:
            ConfigurationError: It is written otherwise.
        """
        found = _RATE.fullmatch(text) if isinstance(text, str) else None
        if found is None or not int(found[1]) or not int(found[2] or 1):
            raise ConfigurationError(
                f"{text!r} for {name} is no rate: write how many in how long, such as 20/m, 200/h or 5/10s"
            )
        return cls(int(found[1]), int(found[2] or 1), found[3][0].lower())

    @property
    def a_second(self) -> float:
        """How many come back in a second."""
        return self.count / (self.periods * _PERIODS[self.period][1])

    def __str__(self) -> str:
        span, _, article = _PERIODS[self.period]
        how_long = f"{article} {span}" if self.periods == 1 else f"in {self.periods} {span}s"
        return f"{_counted(self.count, 'message')} {how_long}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much people may ask of the bot; None leaves a thing unlimited.

    Rates and budgets are counted in the bot's store, so that all processes that share it keep them together. A day
    is one of UTC.

    Args:
        per_user: Messages of each user: ``"20/m"``.
        per_channel: Messages in each channel, its threads included.
        per_workspace: Messages in each workspace or server; DMs that belong to none count as one.
        tokens_a_day: Tokens that the bot may use, in and out together.
        money_a_day: Dollars that it may use, as far as they are known (``Prices``).
        user_tokens_a_day: Tokens for each user.
        user_money_a_day: Dollars for each user.
        input_characters: Characters in a message.
        history_turns: Earlier turns that the model sees.
        tool_steps: Tools that the agent may use for one message.
        reply_characters: Characters in an answer; what is longer is cut.
        seconds: How long the agent may take for one message.
        prices: What models cost, as ``Prices`` takes it.
        reserve: Tokens that a turn is taken to need until it is known what it needed: what is reserved before keeps
            turns that run at once from using a budget together that each of them would fit in.

    Raises:
        ConfigurationError: A limit is none.
    """

    per_user: str | None = None
    per_channel: str | None = None
    per_workspace: str | None = None
    tokens_a_day: int | None = None
    money_a_day: float | None = None
    user_tokens_a_day: int | None = None
    user_money_a_day: float | None = None
    input_characters: int | None = None
    history_turns: int | None = None
    tool_steps: int | None = None
    reply_characters: int | None = None
    seconds: float | None = None
    prices: Mapping[str, Sequence[float]] = field(default_factory=dict)
    reserve: int = 4000

    def __post_init__(self) -> None:
        list(self.rates())  # reading them says what is wrong
        for name in dict.fromkeys((*_POSITIVE, *_WHOLE)):
            _check_number(name, getattr(self, name))
        Prices(self.prices)

    @property
    def counts(self) -> bool:
        """True when anything has to be counted in the store."""
        return any(getattr(self, name) is not None for name in (*RATES, *_TOKENS, *_MONEY))

    @property
    def counts_money(self) -> bool:
        """True when it must be known what models cost."""
        return any(getattr(self, name) is not None for name in _MONEY)

    def rates(self) -> Iterator[tuple[str, Rate]]:
        """The rates that are set, with their names."""
        for name in RATES:
            text = getattr(self, name)
            if text is not None:
                yield name, Rate.parse(text, name)

    def budgets(self) -> Iterator[tuple[str, float, bool]]:
        """The budgets that are set: name, capacity, and whether it is in money."""
        for name in (*_TOKENS, *_MONEY):
            capacity = getattr(self, name)
            if capacity is not None:
                yield name, capacity, name in _MONEY


@dataclass(frozen=True, slots=True)
class Spending:
    """What a turn needs or has needed.

    Args:
        tokens: Tokens in and out.
        money: Dollars; None when nobody knows.
    """

    tokens: float
    money: float | None = None


def charges(limits: Limits, event: Event, expected: Spending, at: float) -> tuple[Charge, ...]:
    """What is to be counted before a message is answered.

    Args:
        limits: The limits.
        event: The message.
        expected: What its turn is taken to need. A budget that is smaller than that is reserved as a whole.
        at: The time, in seconds since 1970, UTC.
    """
    return (*rated(limits, event), *reserved(limits, event, expected, at))


def rated(limits: Limits, event: Event) -> tuple[Charge, ...]:
    """What is to be counted of rates for whatever people ask: a message, a command, a button."""
    key, user = event.where, event.user
    workspace = f"{key.platform}:{quote(key.workspace, safe='')}"
    subjects = {
        "per_user": user,
        "per_channel": f"{workspace}:{quote(key.channel, safe='')}",
        "per_workspace": workspace,
    }
    return tuple(
        Charge(f"{name}:{subjects[name]}", 1.0, rate.count, rate.a_second, owner=user if name == "per_user" else "")
        for name, rate in limits.rates()
    )


def reserved(limits: Limits, event: Event, expected: Spending, at: float) -> tuple[Charge, ...]:
    """What is to be counted of budgets before a turn; arguments as ``charges`` has them."""
    user, counted = event.user, []
    midnight = datetime.fromtimestamp(at, UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    day = datetime.fromtimestamp(at, UTC).date()
    for name, capacity, is_money in limits.budgets():
        amount = min(expected.money or 0.0 if is_money else expected.tokens, capacity)
        owner = user if name.startswith("user_") else ""
        account = f"{name}:{day}:{owner}" if owner else f"{name}:{day}"
        counted.append(Charge(account, amount, capacity, ends_at=midnight.timestamp(), owner=owner))
    return tuple(counted)


def adjustments(counted: Sequence[Charge], used: Spending) -> tuple[Adjustment, ...]:
    """By how much budgets are to be corrected once it is known what a turn has used.

    Args:
        counted: What was counted before.
        used: What was used. Where nobody knows the money, what was reserved stands.
    """
    found = []
    for charge in counted:
        name = charge.account.split(":", 1)[0]
        amount = used.tokens if name in _TOKENS else used.money if name in _MONEY else None
        if amount is not None and amount != charge.amount:
            found.append(Adjustment(charge.account, amount - charge.amount))
    return tuple(found)


def said_of(limits: Limits, refusal: Refusal, at: float) -> str:
    """What the person is told, in one line.

    Args:
        limits: The limits.
        refusal: What the ledger said.
        at: The time, in seconds since 1970, UTC.
    """
    name = refusal.account.split(":", 1)[0]
    return f"{_SAYINGS[name].format(rate=dict(limits.rates()).get(name))}; it works again {when(refusal.at, at)}."


def too_long(limits: Limits, text: str) -> str | None:
    """What the person is told whose message is too long; None when it is not."""
    if limits.input_characters is None or len(text) <= limits.input_characters:
        return None
    return (
        f"Your message has {len(text):,} characters, and I read {limits.input_characters:,} at most; "
        "a shorter one works at once."
    )


def too_many_steps(limits: Limits) -> str:
    """What the person is told for whom the agent wanted to use more tools than it may."""
    tools = _counted(limits.tool_steps or 0, "tool")
    return f"I stopped: one message may take me {tools} and needed more; a smaller question works at once."


def too_slow(limits: Limits) -> str:
    """What the person is told for whom the agent took longer than it may."""
    time = f"{limits.seconds or 0:g} seconds"
    return f"I stopped: one message may take me {time} and took longer; a smaller question works at once."


def shortened(limits: Limits, text: str) -> str:
    """An answer, cut between two words where it is too long."""
    most = limits.reply_characters
    if most is None or len(text) <= most:
        return text
    kept = text[: most - 1]
    if not (text[most - 1].isspace() or kept[-1:].isspace()):
        kept = kept.rsplit(maxsplit=1)[0] if len(kept.split(maxsplit=1)) == 2 else kept
    return f"{kept.rstrip()}…"


def when(then: float, at: float) -> str:
    """A time as people say it.

    Args:
        then: The time, in seconds since 1970, UTC.
        at: Now, likewise.

    >>> when(1_790_000_030.0, 1_790_000_000.0), when(1_790_000_130.0, 1_790_000_000.0)
    ('in 30 seconds', 'in 3 minutes')
    >>> when(1_790_035_200.0, 1_790_000_000.0), when(1_790_200_000.0, 1_790_000_000.0)
    ('at 00:00 UTC', 'on 2026-09-23 at 21:47 UTC')
    """
    seconds = max(1, math.ceil(then - at))
    if seconds <= 90:
        return f"in {_counted(seconds, 'second')}"
    if seconds <= 3600:
        return f"in {_counted(math.ceil(seconds / 60), 'minute')}"
    moment = datetime.fromtimestamp(math.ceil(then / 60) * 60, UTC)  # a minute late rather than early
    return f"at {moment:%H:%M} UTC" if seconds <= 86400 else f"on {moment:%Y-%m-%d} at {moment:%H:%M} UTC"


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count:,} {thing}s"


def _check_number(name: str, value: object) -> None:
    if value is None:
        return
    kind = "whole number" if name in _WHOLE else "number"
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise ConfigurationError(f"{name} must be a {kind}; got {value!r}")
    least = "more than 0" if name in _POSITIVE else "0 or more"
    if (name in _WHOLE and value != int(value)) or value < 0 or (name in _POSITIVE and value == 0):
        raise ConfigurationError(f"{name} must be a {kind}, {least}; got {value!r}. Leave it out for no limit")
