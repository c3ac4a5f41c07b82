"""How fast answers are shown that grow at once: they share the calls that Slack takes in a workspace."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from dspy_session_chat.action import Event
from dspy_session_chat.platform import CanEdit
from dspy_session_chat.reply import Button


class Pace:
    """Counts the answers that grow in one workspace. The more they are, the less often each is shown: what Slack takes
    no more, it takes no more of the ends of answers either.
    """

    def __init__(self) -> None:
        self._growing = 0

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
    """A platform's edits, at the pace of a workspace.

    Args:
        platform: Edits.
        pace: The pace.
    """

    platform: CanEdit
    pace: Pace

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
        """Let a message say something else."""
        await self.platform.edit(inbound, message_id, part, buttons)
