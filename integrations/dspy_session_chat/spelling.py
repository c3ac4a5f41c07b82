"""How people write a command, where what begins with a slash never reaches the bot."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from dspy_session_chat.action import Event
from dspy_session_chat.platform import Platform


@runtime_checkable
class SpellsCommands(Protocol):
    """Keeps messages that begin with a slash to itself, so people write a command in another way."""

    async def spelled(self, event: Event, command: str) -> str:
        """How people write a command where ``event`` is; never raises.

        Args:
            event: What is answered.
            command: It with its slash and what follows: ``/undo 2``.
        """
        ...


async def spelled(platform: Platform, event: Event, command: str) -> str:
    """How people write a command, such as ``/undo 2``, where ``event`` is."""
    return await platform.spelled(event, command) if isinstance(platform, SpellsCommands) else command
