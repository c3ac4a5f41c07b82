"""What people see of an answer before it is whole: that it is on its way, and as much of it as there is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from dspy_session_chat.action import Event
from dspy_session_chat.reply import Button


@runtime_checkable
class CanType(Protocol):
    """Can show that the bot is at work."""

    def typing(self, inbound: Event) -> AbstractAsyncContextManager[None]:
        """Show that an answer is on its way, for as long as the block runs; never raises for a missed indicator."""
        ...


@runtime_checkable
class ShowsWaiting(Protocol):
    """Shows of itself that an answer to what people did is on its way, before the bot has looked at it."""

    async def nothing_to_say(self, inbound: Event) -> None:
        """No answer comes: what shows that one is on its way goes. Never raises for what could not be taken away."""
        ...


Shown = Callable[[tuple[str, ...]], Awaitable[None]]
"""Told of the ids of all messages that show an answer, whenever there is one more."""
MayShow = Callable[[], Awaitable[bool]]
"""Asked before each view: whoever has lost the conversation must not write over what another process shows."""


@dataclass(frozen=True, slots=True)
class Growing:
    """An answer that is about to be written.

    Args:
        inbound: What is answered.
        buttons: Under the last message, while the answer grows.
        polish: Makes of the agent's words what may be posted.
        shown: The platform's ids of the messages that show a part of it already.
        on_shown: Told when there is one more.
        may_show: Asked before each view.
    """

    inbound: Event
    buttons: tuple[Button, ...]
    polish: Callable[[str], str]
    shown: tuple[str, ...]
    on_shown: Shown
    may_show: MayShow


class ReplyStream(Protocol):
    """An answer while it is being written."""

    @property
    def message_ids(self) -> tuple[str, ...]:
        """The platform's ids of the messages that show it."""
        ...

    async def disown(self, known: Sequence[str]) -> None:
        """Say that the answer is begun anew, in those of them that nobody else knows of."""
        ...

    async def status(self, text: str) -> None:
        """Say what the agent is doing (``"searching the web…"``)."""
        ...

    async def append(self, text: str) -> None:
        """Show more of the answer; ``text`` continues what was appended before."""
        ...


@runtime_checkable
class CanStream(Protocol):
    """Can show an answer while it is written, in a way of its own.

    The complete answer is always posted with ``post`` afterwards.
    """

    def stream(self, growing: Growing) -> AbstractAsyncContextManager[ReplyStream]:
        """Open a stream for an answer; at its end nothing is on its way any more."""
        ...


@runtime_checkable
class CanEdit(Protocol):
    """Can change what it has posted: then an answer is shown while it is written, in messages that are edited."""

    @property
    def edit_seconds(self) -> float:
        """Seconds between two edits at least, so that the platform's limits are kept."""
        ...

    def parts(self, text: str) -> Sequence[str]:
        """Markdown as the messages that it becomes here, each as ``begin`` and ``edit`` take it."""
        ...

    async def begin(self, inbound: Event, part: str, buttons: Sequence[Button] = ()) -> str:
        """Post a message in answer to ``inbound``, more of which is to come; its id, as ``Posted`` has it.

        Raises:
            PlatformError: It could not be posted.
        """
        ...

    async def edit(self, inbound: Event, message_id: str, part: str, buttons: Sequence[Button] = ()) -> None:
        """Let a message that was posted in answer to ``inbound`` say something else.

        Raises:
            PlatformError: It could not be changed.
        """
        ...
