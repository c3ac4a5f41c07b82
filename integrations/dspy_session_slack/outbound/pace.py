"""How fast answers are shown that grow at once: they share the calls that Slack takes in a workspace."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from dspy_session.errors import PlatformUnavailableError
from dspy_session_chat.action import Event
from dspy_session_chat.growing import CanEdit
from dspy_session_chat.reply import Button

_log = logging.getLogger(__name__)

REST = 30.0
"""Seconds in which no answer is shown growing once Slack wants fewer calls: it counts them by the minute."""

Change = Callable[[Event, str, str, Sequence[Button]], Awaitable[None]]
"""Edits a message, and does not wait where Slack wants fewer calls."""


class Pace:
    """Counts the answers that grow in one workspace. The more they are, the less often each is shown: what Slack takes
    no more, it takes no more of the ends of answers either.
    """

    def __init__(self) -> None:
        self._growing = 0
        self._rests_until = 0.0

    @property
    def rests(self) -> bool:
        """Whether nothing is shown for now."""
        return asyncio.get_running_loop().time() < self._rests_until

    def rest(self) -> None:
        """Show nothing for a while."""
        self._rests_until = asyncio.get_running_loop().time() + REST

    @contextmanager
    def shared(self) -> Iterator[None]:
        """One answer more grows for the time of the block."""
        self._growing += 1
        try:
            yield
        finally:
            self._growing -= 1

    def seconds(self, alone: float, share: float = 1.0) -> float:
        """Seconds between two calls for one answer.

        Args:
            alone: What they are when no other one grows.
            share: How much of the calls that Slack takes of the method an answer alone uses up.
        """
        return alone * max(1.0, share * self._growing)


@dataclass(frozen=True, slots=True)
class Edits:
    """A platform's edits, at the pace of a workspace. One that Slack does not take for now is left out, and the end of
    the answer does not wait for it.

    Args:
        platform: Posts.
        pace: The pace.
        change: Edits.
    """

    platform: CanEdit
    pace: Pace
    change: Change

    @property
    def edit_seconds(self) -> float:
        """Seconds between two edits: one answer alone uses up all that Slack takes."""
        return self.pace.seconds(self.platform.edit_seconds)

    def parts(self, text: str) -> Sequence[str]:
        """Markdown in as many messages as it needs."""
        return self.platform.parts(text)

    async def begin(self, inbound: Event, part: str, buttons: Sequence[Button] = ()) -> str:
        """Post a message; its id."""
        return await self.platform.begin(inbound, part, buttons)

    async def edit(self, inbound: Event, message_id: str, part: str, buttons: Sequence[Button] = ()) -> None:
        """Let a message say something else, unless Slack wants fewer calls."""
        if self.pace.rests:
            return
        try:
            await self.change(inbound, message_id, part, buttons)
        except PlatformUnavailableError as error:
            self.pace.rest()
            _log.info("Answers are not shown while they grow for %.0f s: %s", REST, error)
