"""Times, as people read and write them. All are UTC, so that what a table shows can be typed again."""

from __future__ import annotations

from datetime import UTC, datetime

from dspy_session.errors import ConfigurationError
from dspy_session_chat.duration import seconds_of

_UNITS = ((86400.0, "day"), (3600.0, "hour"), (60.0, "min"), (1.0, "s"))
_PLURAL = {"day": "days", "hour": "hours"}


def moment_of(text: str, now: float) -> float:
    """The time that ``text`` means, in seconds since 1970, UTC.

    Args:
        text: An ISO time, UTC unless it says otherwise, or how long ago: ``"2h"``, ``"90d"``.
        now: The time, likewise.

    Raises:
        ConfigurationError: It is written otherwise.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        pass
    try:
        return now - seconds_of(text)
    except ConfigurationError:
        raise ConfigurationError(
            f"{text!r} is no time: write how long ago it was, such as 90m, 2h, 7d, or an ISO time such as "
            "2026-11-23T12:00"
        ) from None


def exact(at: float, *, seconds: bool = False) -> str:
    """A time to the minute, or to the second."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M")


def iso(at: float) -> str:
    """A time for programs."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def lasting(seconds: float) -> str:
    """How long something lasts, in its largest unit."""
    for size, unit in _UNITS:
        count = int(seconds // size)
        if count >= 1:
            return f"{count:,} {unit if count == 1 else _PLURAL.get(unit, unit)}"
    return "0 s"


def ago(at: float, now: float) -> str:
    """How long ago a time is."""
    return f"{lasting(now - at)} ago" if now - at >= 1 else "just now"


def until(at: float, now: float) -> str:
    """How soon a time is."""
    return f"in {lasting(at - now)}" if at - now >= 1 else "now"
