"""What a platform must be able to do, and what it may be able to do besides.

A platform is two verbs: ``run`` brings events in, ``post`` takes answers out. Anything a platform can do on top
is a protocol of its own, so ``isinstance(platform, CanStream)`` is the whole question.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from dspy_session.conversation import ConversationKey, Conversations
from dspy_session.errors import PlatformError, PlatformUnavailableError
from dspy_session_chat.action import Event
from dspy_session_chat.inbound import Attachment, Author
from dspy_session_chat.reply import Button, Reply

if TYPE_CHECKING:
    from dspy_session_chat.rules.access import Access
    from dspy_session_chat.rules.manners import Manners  # which knows this module

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


@runtime_checkable
class CanType(Protocol):
    """Can show that the bot is at work."""

    def typing(self, inbound: Event) -> AbstractAsyncContextManager[None]:
        """Show that an answer is on its way, for as long as the block runs; never raises for a missed indicator."""
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


@runtime_checkable
class ShowsWaiting(Protocol):
    """Shows of itself that an answer to what people did is on its way, before the bot has looked at it."""

    async def nothing_to_say(self, inbound: Event) -> None:
        """No answer comes: what shows that one is on its way goes. Never raises for what could not be taken away."""
        ...


@runtime_checkable
class NeedsConversations(Protocol):
    """Shows what was said before, and so has to read conversations."""

    def use_conversations(self, conversations: Conversations) -> None:
        """Called once, before ``run``."""
        ...


class Named(Protocol):
    """A command, as a platform shows it."""

    @property
    def name(self) -> str:
        """Its name, without a slash."""
        ...

    @property
    def aliases(self) -> Sequence[str]:
        """Other names for it."""
        ...

    @property
    def description(self) -> str:
        """What it does, in one line."""
        ...

    @property
    def takes(self) -> str:
        """What may be written after it, for people: ``"[how many]"``; empty for nothing."""
        ...

    @property
    def admin(self) -> bool:
        """Whether only admins may give it."""
        ...

    @property
    def private(self) -> bool:
        """Whether what it says is for the one who gave it alone, as far as that is known beforehand."""
        ...


@runtime_checkable
class NeedsCommands(Protocol):
    """Shows people which commands there are."""

    def use_commands(self, commands: Sequence[Named]) -> None:
        """Called once, before ``run``."""
        ...


@runtime_checkable
class NeedsManners(Protocol):
    """Takes commands where it does not show which conversation is meant, and so has to know what is one."""

    def use_manners(self, manners: Manners) -> None:
        """Called once, before ``run``."""
        ...


@runtime_checkable
class NeedsAccess(Protocol):
    """Says something for people before the bot has looked at it, and so has to know who may talk to it."""

    def use_access(self, access: Access) -> None:
        """Called once, before ``run``."""
        ...


def by_name(platforms: Sequence[Platform]) -> dict[str, Platform]:
    """The platforms by names that are the same after a restart: a second one of a kind is ``"slack#2"``."""
    named: dict[str, Platform] = {}
    for platform in platforms:
        number = 1 + sum(other.name == platform.name for other in named.values())
        named[platform.name if number == 1 else f"{platform.name}#{number}"] = platform
    return named
