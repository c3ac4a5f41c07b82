"""What a platform must be able to do, and what it may be able to do besides.

A platform is two verbs: ``run`` brings messages in, ``post`` takes answers out. Anything a platform can do on top
is a protocol of its own, so ``isinstance(platform, CanStream)`` is the whole question.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from dspy_session.conversation import Conversations
from dspy_session_chat.inbound import Inbound

Receive = Callable[[Inbound], Awaitable[None]]
"""Takes one inbound message over. It returns soon: once it has, the message is the bot's to answer, and the platform
may acknowledge it. Several messages may be handed over at once."""


@dataclass(frozen=True, slots=True)
class Post:
    """One answer to post.

    Args:
        inbound: The message that is answered.
        text: The whole answer, Markdown; a platform splits it to its own limits.
        turn_id: Id of the turn that the answer belongs to; empty for words of the bot's own (an error, a help text).
    """

    inbound: Inbound
    text: str
    turn_id: str = ""


@dataclass(frozen=True, slots=True)
class Posted:
    """Where an answer stands now.

    Args:
        message_ids: The platform's ids of the messages that hold the answer, in order; several when it was split.
    """

    message_ids: tuple[str, ...]


class Platform(Protocol):
    """A place where people talk to the bot."""

    @property
    def name(self) -> str:
        """Lower-case name, the first part of its conversation keys: ``"slack"``."""
        ...

    async def run(self, receive: Receive) -> None:
        """Connect, hand every message for the bot to ``receive``, and stay until cancelled.

        Messages of the bot itself, of other bots, and messages that are not addressed to the bot never reach
        ``receive``. Losing the connection is the platform's to mend. Being cancelled closes everything it opened.

        Raises:
            PlatformError: The platform refuses us for good (a wrong token, a missing permission): one line that says
                what is wrong and how to mend it.
        """
        ...

    async def post(self, post: Post) -> Posted:
        """Post one answer where its inbound message asked, split to the platform's limits.

        Raises:
            PlatformError: The answer could not be posted.
        """
        ...


@runtime_checkable
class CanType(Protocol):
    """Can show that the bot is at work."""

    def typing(self, inbound: Inbound) -> AbstractAsyncContextManager[None]:
        """Show that an answer is on its way, for as long as the block runs; never raises for a missed indicator."""
        ...


class ReplyStream(Protocol):
    """An answer while it is being written."""

    async def status(self, text: str) -> None:
        """Say what the agent is doing (``"searching the web…"``)."""
        ...

    async def append(self, text: str) -> None:
        """Show more of the answer; ``text`` continues what was appended before."""
        ...


@runtime_checkable
class CanStream(Protocol):
    """Can show an answer while it is written. The complete answer is always posted with ``post`` afterwards."""

    def stream(self, inbound: Inbound) -> AbstractAsyncContextManager[ReplyStream]:
        """Open a stream for the answer to ``inbound``."""
        ...


@runtime_checkable
class NeedsConversations(Protocol):
    """Shows what was said before, and so has to read conversations."""

    def use_conversations(self, conversations: Conversations) -> None:
        """Called once, before ``run``."""
        ...


def by_name(platforms: Sequence[Platform]) -> dict[str, Platform]:
    """The platforms by names that are the same after a restart: a second one of a kind is ``"slack#2"``."""
    named: dict[str, Platform] = {}
    for platform in platforms:
        number = 1 + sum(other.name == platform.name for other in named.values())
        named[platform.name if number == 1 else f"{platform.name}#{number}"] = platform
    return named
