"""A platform in memory: it hands over what a test says, and keeps what people would see."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from dspy_session.conversation import ConversationKey
from dspy_session_chat.action import Event
from dspy_session_chat.inbound import Attachment, Author
from dspy_session_chat.markup.overflow import FILE_NAME, within
from dspy_session_chat.markup.split import split
from dspy_session_chat.needs import Named
from dspy_session_chat.platform import Opened, Post, Posted, Receive, Said
from dspy_session_chat.reply import Button, ReplyFile
from dspy_session_chat.testing.seen import Message

LIMIT = 4000
"""Characters of one message."""
PATIENCE = 10.0
"""Seconds that a test waits for what should happen."""


class PlainTesterPlatform:
    """Can post, and nothing else.

    Args:
        name: What it is called in keys.
        limit: Characters of one message.
    """

    def __init__(self, name: str = "tester", *, limit: int = LIMIT) -> None:
        self._name = name
        self._limit = limit
        self._receive: Receive | None = None
        self._running = asyncio.Event()
        self._news = asyncio.Condition()
        self._numbers = itertools.count(1)
        self._events = itertools.count(1)
        self._failures: dict[str, deque[Exception]] = {}
        self.messages: list[Message] = []
        """Every message of the bot's, oldest first, as it stands."""
        self.posts: list[Post] = []
        """Every whole answer, in the order in which they were posted."""

    @property
    def name(self) -> str:
        """What it is called in keys."""
        return self._name

    async def run(self, receive: Receive) -> None:
        """Be there until cancelled."""
        self._receive = receive
        self._running.set()
        try:
            await asyncio.Event().wait()
        finally:
            self._running.clear()

    def number(self) -> int:
        """The next number for an event: no two of this platform's have the same, whichever bot lives on it."""
        return next(self._events)

    async def bring(self, event: Event) -> None:
        """Hand an event over."""
        async with asyncio.timeout(PATIENCE):
            await self._running.wait()
        assert self._receive is not None
        await self._receive(event)

    async def post(self, post: Post) -> Posted:
        """Post an answer."""
        self._fail_if_asked("post")
        texts = within(split(post.text, self._limit), post.text, most=post.most, limit=self._limit)
        files = post.reply.files
        if texts.file:
            files = (*files, ReplyFile(FILE_NAME, "text/markdown", texts.file.encode()))
        reply = replace(post.reply, files=files)
        ids: list[str] = []
        parts = texts.posts or ("",)
        for place, text in enumerate(parts):
            buttons = post.reply.buttons if place == len(parts) - 1 else ()
            known = self._message(post.shown[place]) if place < len(post.shown) else None
            message = known or self._new(post.inbound)
            self._change(message, text, buttons)
            message.reply, message.interim = reply, post.interim
            ids.append(message.id)
        for surplus in post.shown[len(parts) :]:
            self.messages = [message for message in self.messages if message.id != surplus]
        self.posts.append(post)
        await self._tell()
        return Posted(tuple(ids))

    # --- for tests ----------------------------------------------------------------------------------------------------

    def fail(self, verb: str, error: Exception, *, times: int = 1) -> None:
        """Let ``"post"``, ``"begin"``, ``"edit"``, ``"fetch"`` or ``"open_thread"`` go wrong."""
        self._failures.setdefault(verb, deque()).extend([error] * times)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until ``condition`` holds; it is looked at whenever people would see something new.

        Raises:
            TimeoutError: It does not within ten seconds.
        """
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(condition)

    def seen(self, thread: str) -> list[Message]:
        """The bot's messages in a thread, as they stand."""
        return [message for message in self.messages if message.thread == thread]

    def _message(self, message_id: str) -> Message | None:
        return next((message for message in self.messages if message.id == message_id), None)

    def _new(self, event: Event) -> Message:
        message = Message(f"m{next(self._numbers)}", event, "")
        self.messages.append(message)
        return message

    def _change(self, message: Message, text: str, buttons: Sequence[Button]) -> None:
        if message.text:
            message.views.append(message.text)
        message.text, message.buttons = text, tuple(buttons)

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    def _fail_if_asked(self, verb: str) -> None:
        failures = self._failures.get(verb)
        if failures:
            raise failures.popleft()


class TesterPlatform(PlainTesterPlatform):
    """Can do all that a platform may be able to do.

    Args:
        name: What it is called in keys.
        limit: Characters of one message.
        edit_seconds: Seconds between two views of a growing answer.
    """

    __test__ = False  # its name begins as those of pytest's test classes do

    def __init__(self, name: str = "tester", *, limit: int = LIMIT, edit_seconds: float = 0.0) -> None:
        super().__init__(name, limit=limit)
        self._edit_seconds = edit_seconds
        self._threads = itertools.count(1)
        self.files: dict[str, bytes] = {}
        """What is in the files that people send, by URL."""
        self.before: dict[str, list[Said]] = {}
        """What was said in a thread before the bot came."""
        self.typing_now = 0
        """In how many places the bot shows that it is at work."""
        self.commands: tuple[Named, ...] = ()
        """The commands that it would list."""

    def use_commands(self, commands: Sequence[Named]) -> None:
        """Called by the bot, before ``run``."""
        self.commands = tuple(commands)

    @property
    def edit_seconds(self) -> float:
        """Seconds between two views of a growing answer."""
        return self._edit_seconds

    def parts(self, text: str) -> Sequence[str]:
        """Markdown as messages."""
        return split(text, self._limit)

    async def begin(self, inbound: Event, part: str, buttons: Sequence[Button] = ()) -> str:
        """Post a message, more of which is to come."""
        self._fail_if_asked("begin")
        message = self._new(inbound)
        self._change(message, part, buttons)
        await self._tell()
        return message.id

    async def edit(self, inbound: Event, message_id: str, part: str, buttons: Sequence[Button] = ()) -> None:
        """Let a message say something else."""
        self._fail_if_asked("edit")
        message = self._message(message_id)
        if message is not None:
            self._change(message, part, buttons)
            await self._tell()

    @asynccontextmanager
    async def typing(self, inbound: Event) -> AsyncIterator[None]:
        """Show that the bot is at work."""
        self.typing_now += 1
        try:
            yield
        finally:
            self.typing_now -= 1

    async def said_before(self, inbound: Event, most: int) -> Sequence[Said]:
        """What was said before the bot came."""
        return self.before.get(inbound.key.thread or "", [])[-most:]

    async def open_thread(self, inbound: Event, title: str) -> Opened:
        """Open a thread."""
        self._fail_if_asked("open_thread")
        key = inbound.key
        thread = f"opened-{next(self._threads)}"
        return Opened(ConversationKey(key.platform, key.workspace, key.channel or "channel", thread), {}, f"#{thread}")

    @contextlib.asynccontextmanager
    async def fetch(self, attachment: Attachment) -> AsyncIterator[AsyncIterator[bytes]]:
        """What is in a file."""
        self._fail_if_asked("fetch")
        yield _pieces(self.files[attachment.url])


async def _pieces(data: bytes, size: int = 65_536) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def person(name: str, *, is_bot: bool = False, roles: Sequence[str] = ()) -> Author:
    """Somebody, by their name: ``"ann"`` has the id ``"ann"`` and is called ``"Ann"``."""
    return Author(name, name[:1].upper() + name[1:], is_bot, "", tuple(roles))
