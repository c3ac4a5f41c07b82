"""What a platform must be able to do, and what it may be able to do besides.

A platform is two verbs: ``run`` brings events in, ``post`` takes answers out. Anything a platform can do on top
is a protocol of its own, so ``isinstance(platform, CanFetch)`` is the whole question: here, in ``growing``, and in
``needs`` for what it has to be told.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from dspy_session.conversation import ConversationKey
from dspy_session.errors import PlatformError, PlatformUnavailableError
from dspy_session_chat.action import Event
from dspy_session_chat.inbound import Attachment, Author
from dspy_session_chat.reply import Reply

Receive = Callable[[Event], Awaitable[None]]
"""Takes one event over, a message or something else that people did. It returns soon: once it has, the event is the
bot's to handle, and the platform may acknowledge it. Several may be handed over at once."""

MOST_POSTS = 8
"""Posts that one answer is split into at most; what is longer goes as a file."""


@dataclass(frozen=True, slots=True)
class Post:
    """One answer to post.

    Args:
        inbound: What is answered.
        reply: The whole answer.
        shown: The platform's ids of the messages that show a part of it already, in order: they are edited to what
            they should say, and only what is missing is posted.
        most: Posts that it may be split into; the rest goes as a file.
        interim: True for words on the way to the answer, such as a question to people: the answer is still to come.
    """

    inbound: Event
    reply: Reply
    shown: tuple[str, ...] = ()
    most: int = MOST_POSTS
    interim: bool = False

    @property
    def text(self) -> str:
        """The answer as Markdown, with sources and further fields beneath."""
        return self.reply.markdown

    @property
    def turn_id(self) -> str:
        """Id of the turn that the answer belongs to; empty for words of the bot's own."""
        return self.reply.turn_id


@dataclass(frozen=True, slots=True)
class Posted:
    """Where an answer stands now.

    Args:
        message_ids: The platform's ids of the messages that hold the answer, in order; several when it was split.
    """

    message_ids: tuple[str, ...]


class PostedInPartError(PlatformUnavailableError):
    """A part of an answer is posted, and then the platform could not be reached any more.

    Args:
        message: What is wrong, in one line.
        message_ids: The platform's ids of the messages that stand there, in order: with them as ``Post.shown`` it is
            tried again, so that nothing is said twice.
    """

    def __init__(self, message: str, message_ids: Sequence[str]) -> None:
        super().__init__(message)
        self.message_ids = tuple(message_ids)


class RefusedInPartError(PlatformError):
    """A part of an answer is posted, and the platform refuses the rest for good.

    Args:
        message: What is wrong, in one line.
        message_ids: The platform's ids of the messages that stand there, in order.
    """

    def __init__(self, message: str, message_ids: Sequence[str]) -> None:
        super().__init__(message)
        self.message_ids = tuple(message_ids)


@runtime_checkable
class Platform(Protocol):
    """A place where people talk to the bot."""

    @property
    def name(self) -> str:
        """Lower-case name, the first part of its conversation keys: ``"slack"``."""
        ...

    async def run(self, receive: Receive) -> None:
        """Connect, hand what people write and do to ``receive``, and stay until cancelled.

        What the bot itself wrote never reaches ``receive``. Everything else that it can hear does, with how it is
        addressed and whether a bot wrote it: the bot drops what is not for it before anything is written down. Losing
        the connection is the platform's to mend. Being cancelled closes everything it opened.

        Raises:
            PlatformError: The platform refuses us for good (a wrong token, a missing permission): one line that says
                what is wrong and how to mend it.
        """
        ...

    async def post(self, post: Post) -> Posted:
        """Post one answer where its inbound message asked, split to the platform's limits.

        Raises:
            PlatformError: The answer could not be posted; where some of it was, a ``PostedInPartError`` or a
                ``RefusedInPartError``.
        """
        ...


@dataclass(frozen=True, slots=True)
class Said:
    """A message that was there before the bot came.

    Args:
        author: Who wrote it.
        text: What it says.
        ours: True for one of the bot's own.
    """

    author: Author
    text: str
    ours: bool = False


@runtime_checkable
class CanReadBack(Protocol):
    """Can tell what was said in a conversation before the bot was called into it."""

    async def said_before(self, inbound: Event, most: int) -> Sequence[Said]:
        """The newest ``most`` messages before ``inbound``, oldest first; none when they cannot be had."""
        ...


@dataclass(frozen=True, slots=True)
class Opened:
    """A thread that was opened.

    Args:
        key: Its conversation.
        reply_to: Where to write in it, for ``Action.reply_to``.
        link: How people get there, in the platform's markup; empty when it shows by itself.
    """

    key: ConversationKey
    reply_to: dict[str, Any]
    link: str = ""


@runtime_checkable
class CanOpenThread(Protocol):
    """Can open a thread beside the one that somebody is in."""

    async def open_thread(self, inbound: Event, title: str) -> Opened:
        """Open a thread with that title.

        Raises:
            PlatformError: It cannot be opened.
        """
        ...


@runtime_checkable
class CanFetch(Protocol):
    """Can fetch the files that come with messages."""

    def fetch(self, attachment: Attachment) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """What is in a file, piece by piece.

        Raises:
            PlatformError: It cannot be had: one line for the person who sent it.
        """
        ...


def by_name(platforms: Sequence[Platform]) -> dict[str, Platform]:
    """The platforms by names that are the same after a restart: a second one of a kind is ``"slack#2"``."""
    named: dict[str, Platform] = {}
    for platform in platforms:
        number = 1 + sum(other.name == platform.name for other in named.values())
        named[platform.name if number == 1 else f"{platform.name}#{number}"] = platform
    return named
