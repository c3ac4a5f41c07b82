"""Ids as Discord makes them: they carry the time, and sort by it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

DISCORD_EPOCH_MS = 1_420_070_400_000
_FIRST_MS = int(datetime(2026, 1, 15, 12, 0, tzinfo=UTC).timestamp() * 1000)


class Snowflakes:
    """Hands out ids, one millisecond apart, the same ones in every run unless they follow a clock."""

    def __init__(self) -> None:
        self._ms = _FIRST_MS
        self._clock: Callable[[], float] | None = None

    def follow(self, clock: Callable[[], float]) -> None:
        """From now on ids carry the time that ``clock`` tells, in seconds since 1970."""
        self._clock = clock

    def next(self) -> int:
        told = 0 if self._clock is None else int(self._clock() * 1000)
        self._ms = max(self._ms + 1, told)
        return (self._ms - DISCORD_EPOCH_MS) << 22


def timestamp(snowflake: int) -> str:
    """When ``snowflake`` was made, as Discord writes times."""
    ms = (snowflake >> 22) + DISCORD_EPOCH_MS
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="microseconds")
