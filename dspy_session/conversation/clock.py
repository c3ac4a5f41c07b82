"""Time, passed in so that tests can move it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time and waits for it."""

    def now(self) -> datetime:
        """The time of day, UTC: what signatures and ``Retry-After`` dates are measured by."""
        ...

    def monotonic(self) -> float:
        """Seconds since some fixed moment: what delays are measured by, since setting the time of day can't move it."""
        ...

    async def wait(self, wake: asyncio.Event, seconds: float | None) -> None:
        """Return when ``wake`` is set or ``seconds`` have gone by (None: only when it is set)."""
        ...


class SystemClock:
    """The computer's own clock."""

    def now(self) -> datetime:
        """See ``Clock``."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """See ``Clock``."""
        return time.monotonic()

    async def wait(self, wake: asyncio.Event, seconds: float | None) -> None:
        """See ``Clock``."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await wake.wait()
