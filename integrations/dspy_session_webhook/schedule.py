"""What to do after an attempt: pure, so the same rules serve a queue in memory and one in a database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from dspy_session.conversation.schedule import ATTEMPTS, JITTER, RETRY_DELAYS
from dspy_session.stores.outgoing import Settlement

MAX_RETRY_AFTER = 86_400.0
"""The longest ``Retry-After`` that is believed, in seconds: longer ones are mistakes or malice."""

OVERLOAD_HOLD = 60.0
"""Seconds, at most, that an endpoint which says it is overloaded is left alone when it doesn't say for how long: one
message that always breaks it must not hold the others back for the hours of its own schedule."""

_GONE = 410
_OVERLOADED = frozenset({429, 502, 504})


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back from one attempt.

    Args:
        status: The HTTP status, or None when there was no answer.
        retry_after: The ``Retry-After`` header as it was sent.
        error: Why there was no answer, in words that hold no secret.
    """

    status: int | None
    retry_after: str | None = None
    error: str = ""

    def __str__(self) -> str:
        return self.error if self.status is None else f"HTTP {self.status}"


@dataclass(frozen=True, slots=True)
class Delivered:
    """The endpoint has taken the message."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Try the message again.

    Args:
        delay: Seconds until then; the rest of its conversation waits behind it.
        hold: Seconds in which the endpoint gets nothing at all, from any conversation.
    """

    delay: float
    hold: float = 0.0


@dataclass(frozen=True, slots=True)
class Park:
    """The schedule is used up: the conversation stands still until someone starts it again."""


@dataclass(frozen=True, slots=True)
class Disable:
    """The endpoint is gone for good and wants nothing more."""


Decision = Delivered | Retry | Park | Disable


def decide(attempt: int, answer: Answer, *, jitter: float, now: datetime) -> Decision:
    """What follows from the answer to an attempt.

    Any answer but 2xx failed, redirects too: to follow one would be to post where nobody checked. ``Retry-After``
    can only lengthen a delay, so an endpoint that always says "in a second" does not use up the schedule at once.

    Args:
        attempt: The number of the attempt that got ``answer``, from 1.
        answer: What came back.
        jitter: A random number, 0 ≤ jitter < 1.
        now: The time, for a ``Retry-After`` that is a date.
    """
    if answer.status is not None and 200 <= answer.status < 300:
        return Delivered()
    if answer.status == _GONE:
        return Disable()
    if attempt >= ATTEMPTS:
        return Park()
    spread = 1 + JITTER * jitter
    delay = RETRY_DELAYS[attempt - 1]
    asked = parse_retry_after(answer.retry_after, now)
    if asked is not None:
        return Retry(max(delay, asked) * spread, hold=asked * spread)
    if answer.status in _OVERLOADED:
        return Retry(delay * spread, hold=min(delay, OVERLOAD_HOLD) * spread)
    return Retry(delay * spread)


def settlement(decision: Decision, answer: Answer) -> Settlement:
    """What a store is told of a decision."""
    match decision:
        case Delivered():
            return Settlement("delivered")
        case Retry(delay, hold):
            return Settlement("retry", delay=delay, hold=hold, reason=str(answer))
        case Park():
            return Settlement("parked", reason=str(answer))
        case Disable():
            return Settlement("disabled", reason=str(answer))


def parse_retry_after(header: str | None, now: datetime) -> float | None:
    """Seconds that a ``Retry-After`` header asks for, at most ``MAX_RETRY_AFTER``; None when it can't be read.

    Args:
        header: A whole number of seconds, or an HTTP date.
        now: The time that a date is measured from.
    """
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), MAX_RETRY_AFTER)  # float, since int() refuses thousands of digits
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return min(max((date - now).total_seconds(), 0.0), MAX_RETRY_AFTER)
