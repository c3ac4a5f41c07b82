"""Reaching Discord: for so long, not while it turns the bot away, and with one line when it does not work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dspy_session.errors import PlatformUnavailableError
from dspy_session_discord.refusal import FAILURES, refused_to_post, turned_away_for

SECONDS = 120.0
"""Seconds that one thing may take, with all that discord.py waits in between. What is tried again after more than some
minutes could stand there twice."""


class Reaching:
    """Keeps away from Discord while it turns the bot's address away: each request more makes that longer."""

    def __init__(self) -> None:
        self._turned_away_until = 0.0

    def see_that_it_may(self, now: float) -> None:
        """See that Discord may be asked at ``now``, a time of the event loop.

        Raises:
            PlatformUnavailableError: It turned the bot away, and not long ago.
        """
        if now < self._turned_away_until:
            seconds = self._turned_away_until - now
            raise PlatformUnavailableError(f"Discord turns this address away, for {seconds:.0f} s more")

    @asynccontextmanager
    async def told(self) -> AsyncIterator[None]:
        """What Discord refuses in this block, in one line.

        Raises:
            PlatformError: Discord refused or could not be reached.
        """
        loop = asyncio.get_running_loop()
        self.see_that_it_may(loop.time())
        try:
            async with asyncio.timeout(SECONDS):
                yield
        except FAILURES as error:
            self._turned_away_until = max(self._turned_away_until, loop.time() + turned_away_for(error))
            raise refused_to_post(error) from error
