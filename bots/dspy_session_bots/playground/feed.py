"""What changes, told to every page that is open, as server-sent events."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from typing import Any

HEARTBEAT = b": still here\n\n"
"""A comment that a page never sees; writing it shows whether anybody reads."""
HEARTBEAT_SECONDS = 15.0
LONGEST_BACKLOG = 1000
"""Events that may wait for a page. One that is further behind is sent away; it comes back and starts anew."""


def event(name: str, data: Any) -> bytes:
    """One server-sent event."""
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


class Feed:
    """Hands events to the pages that look at them.

    Args:
        heartbeat: Seconds of silence after which a page is sent a sign of life.
    """

    def __init__(self, heartbeat: float = HEARTBEAT_SECONDS) -> None:
        self._heartbeat = heartbeat
        self._pages: set[Page] = set()
        self._closed = False

    def publish(self, name: str, data: Any, thread: str | None = None) -> None:
        """Send an event to the pages that show ``thread``; to all when it is None."""
        pages = [page for page in self._pages if thread is None or page.thread == thread]
        if pages:
            encoded = event(name, data)
            for page in pages:
                page.put(encoded)

    @contextlib.contextmanager
    def page(self, thread: str) -> Iterator[Page]:
        """A page that shows ``thread``, for as long as the block runs."""
        page = Page(thread, self._heartbeat)
        self._pages.add(page)
        if self._closed:
            page.end()
        try:
            yield page
        finally:
            self._pages.discard(page)

    def close(self) -> None:
        """Let every page go; those that come later are let go of at once."""
        self._closed = True
        for page in self._pages:
            page.end()


class Page:
    """The events that wait for one page."""

    def __init__(self, thread: str, heartbeat: float) -> None:
        self.thread = thread
        self._heartbeat = heartbeat
        self._waiting: asyncio.Queue[bytes | None] = asyncio.Queue()

    def put(self, encoded: bytes) -> None:
        """Add an event, unless too many wait already: then the page is let go of."""
        if self._waiting.qsize() < LONGEST_BACKLOG:
            self._waiting.put_nowait(encoded)
        else:
            self.end()

    def end(self) -> None:
        """Let the page go after what waits for it."""
        self._waiting.put_nowait(None)

    async def next(self) -> bytes | None:
        """The next event, or a sign of life; None once the page is let go of."""
        try:
            async with asyncio.timeout(self._heartbeat):
                return await self._waiting.get()
        except TimeoutError:
            return HEARTBEAT
