"""Sees what becomes of a deed.

A score, an undo or forgetting is committed without a word to the platform, so the conversation is looked at again, soon
and then less often.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

WAITS = (0.5, 2.0, 8.0)
"""Seconds between looks whether a message is in line at all: the bot may have left it out without a word."""
LOOKS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""Seconds between looks: what is done at once shows at once, and what has to wait for a turn is waited for, a while."""

Look = Callable[[str], Awaitable[bool]]
"""Looks at a thread; whether anything had changed."""


class Following:
    """Looks at threads in which something was done.

    Args:
        look: Looks at a thread's conversation.
        settle: Looks which messages of a thread are in line.
        looks: Seconds before each look.
        waits: Seconds before each look at the line.
    """

    def __init__(
        self, look: Look, settle: Look, looks: Sequence[float] = LOOKS, waits: Sequence[float] = WAITS
    ) -> None:
        self._looks = {"follow": (look, looks), "wait": (settle, waits)}
        self._under_way: dict[str, asyncio.Task[None]] = {}

    def follow(self, thread: str) -> None:
        """Something was done in a thread: look a few times from now on what becomes of it."""
        self._begin("follow", thread)

    def wait(self, thread: str) -> None:
        """Something was written in a thread: look a few times from now on whether it will be answered."""
        self._begin("wait", thread)

    def _begin(self, why: str, thread: str) -> None:
        name = f"{why} {thread}"
        known = self._under_way.get(name)
        if known is not None:
            known.cancel()
        look, looks = self._looks[why]
        task = self._under_way[name] = asyncio.create_task(_look(look, thread, looks), name=name)
        task.add_done_callback(lambda ended: self._ended(name, ended))

    async def aclose(self) -> None:
        """Look no more."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        if self._under_way.get(name) is task:
            del self._under_way[name]


async def _look(look: Look, thread: str, looks: Sequence[float]) -> None:
    for seconds in looks:
        await asyncio.sleep(seconds)
        await look(thread)
