"""Sees what becomes of a deed.

A score, an undo or forgetting is committed without a word to the platform, so the conversation is looked at again, soon
and then less often.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

LOOKS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""Seconds between looks: what is done at once shows at once, and what has to wait for a turn is waited for, a while."""


class Following:
    """Looks at threads in which something was done.

    Args:
        look: Looks at a thread; whether anything had changed.
        looks: Seconds before each look.
    """

    def __init__(self, look: Callable[[str], Awaitable[bool]], looks: Sequence[float] = LOOKS) -> None:
        self._look = look
        self._looks = looks
        self._under_way: dict[str, asyncio.Task[None]] = {}

    def follow(self, thread: str) -> None:
        """Look at a thread a few times from now on."""
        known = self._under_way.get(thread)
        if known is not None:
            known.cancel()
        task = self._under_way[thread] = asyncio.create_task(self._follow(thread), name=f"follow-{thread}")
        task.add_done_callback(lambda ended: self._ended(thread, ended))

    async def aclose(self) -> None:
        """Look no more."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, thread: str) -> None:
        for seconds in self._looks:
            await asyncio.sleep(seconds)
            await self._look(thread)

    def _ended(self, thread: str, task: asyncio.Task[None]) -> None:
        if self._under_way.get(thread) is task:
            del self._under_way[thread]
