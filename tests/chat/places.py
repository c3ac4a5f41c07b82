"""Platforms without a network, for tests of what all platforms share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from dspy_session.conversation import ConversationKey
from dspy_session.errors import PlatformError
from dspy_session_chat import Author, Event, Growing, Inbound, Post, Posted, Receive, Reply

ANN = Author("U1", "Ann")


def message(text: str, event_id: str = "", *, thread: str = "t1", author: Author = ANN) -> Inbound:
    """A message in a thread; its event id is its text unless one is given."""
    key = ConversationKey("place", "W", "C", thread)
    return Inbound(
        key, event_id or text, author, text, "mention", datetime(2026, 1, 2, tzinfo=UTC), channel_name="general"
    )


def saying(inbound: Event, text: str, turn_id: str = "") -> Post:
    """A post of words alone."""
    return Post(inbound, Reply(text, turn_id))


class Place:
    """Hands over what a test says, and keeps what is posted."""

    name = "place"

    def __init__(self) -> None:
        self.receive: Receive | None = None
        self.connected = asyncio.Event()
        self.closed = False
        self.posts: list[Post] = []
        self.refusal: PlatformError | None = None
        self.post_error: Exception | None = None
        self.failures = 0
        self._changed = asyncio.Condition()

    async def run(self, receive: Receive) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.receive = receive
        self.connected.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.closed = True

    async def post(self, post: Post) -> Posted:
        if self.post_error is not None:
            async with self._changed:
                self.failures += 1
                self._changed.notify_all()
            raise self.post_error
        async with self._changed:
            self.posts.append(post)
            self._changed.notify_all()
        return Posted((str(len(self.posts)),))

    async def say(self, inbound: Event) -> None:
        await self.connected.wait()
        assert self.receive is not None
        await self.receive(inbound)

    async def posted(self, count: int) -> list[str]:
        """The texts of the first ``count`` posts, once they are there."""
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(lambda: len(self.posts) >= count)
        return [post.text for post in self.posts[:count]]

    async def failed(self, count: int) -> None:
        """Return once that many posts came to nothing."""
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(lambda: self.failures >= count)


class TypingPlace(Place):
    """Can show that somebody writes."""

    def __init__(self) -> None:
        super().__init__()
        self.typing_now = 0
        self.typed: list[str] = []

    @asynccontextmanager
    async def typing(self, inbound: Inbound) -> AsyncIterator[None]:
        self.typing_now += 1
        self.typed.append(inbound.text)
        try:
            yield
        finally:
            self.typing_now -= 1


class StreamingPlace(Place):
    """Can show an answer while it is written."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[tuple[str, str]] = []
        self.streams_open = 0

    message_ids = ()

    @asynccontextmanager
    async def stream(self, growing: Growing) -> AsyncIterator[StreamingPlace]:
        self.streams_open += 1
        try:
            yield self
        finally:
            self.streams_open -= 1

    async def status(self, text: str) -> None:
        self.shown.append(("status", text))

    async def append(self, text: str) -> None:
        self.shown.append(("text", text))

    async def disown(self, known: Sequence[str]) -> None:
        """It has no messages."""
