"""Ids as Discord makes them: they carry the time, and sort by it."""

from __future__ import annotations

from datetime import UTC, datetime

DISCORD_EPOCH_MS = 1_420_070_400_000
_FIRST_MS = int(datetime(2026, 1, 15, 12, 0, tzinfo=UTC).timestamp() * 1000)


class Snowflakes:
    """Hands out ids, one millisecond apart, the same ones in every run."""

    def __init__(self) -> None:
        self._ms = _FIRST_MS

    def next(self) -> int:
        self._ms += 1
        return (self._ms - DISCORD_EPOCH_MS) << 22


def timestamp(snowflake: int) -> str:
    """When ``snowflake`` was made, as Discord writes times."""
    ms = (snowflake >> 22) + DISCORD_EPOCH_MS
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="microseconds")
