"""Waiting for what must happen, without looking at a clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

PATIENCE = 20.0
"""Seconds that a test waits for what must happen."""


class Waiting:
    """Lets tests wait for a condition."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def changed(self) -> None:
        """Wake everybody who waits for a condition."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until ``condition()`` holds; it is looked at after every request and gateway frame.

        Raises:
            TimeoutError: It did not hold within ``PATIENCE`` seconds.
        """
        async with asyncio.timeout(PATIENCE):
            while not condition():
                await self._changed.wait()
