"""A platform inside this process: what people ask goes in, when it is answered comes out."""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

EDIT_SECONDS = 1.0
"""As on Slack and Discord."""


@dataclass(slots=True)
class Asked:
    """A message that waits for its answer; times are those of ``time.perf_counter``."""

    done: asyncio.Future[None]
    sent: float
    first: float = 0.0
    last: float = 0.0


class Room:
    """Posts answers when they are whole; posting costs nothing."""

    name = "room"

    def __init__(self) -> None:
        self._receive: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._asked: dict[str, Asked] = {}
        self._numbers = itertools.count()

    async def run(self, receive: Any) -> None:
        self._receive.set_result(receive)
        await asyncio.Event().wait()

    async def post(self, post: Any) -> Any:
        from dspy_session_chat import Posted

        self.answered(post.inbound.event_id)
        return Posted(post.shown or (str(next(self._numbers)),))

    async def ask(self, thread: str, text: str) -> Asked:
        """A message of somebody, once it is answered."""
        receive = await asyncio.shield(self._receive)
        message = inbound(thread, f"{thread}.{next(self._numbers)}", text)
        asked = self._asked[message.event_id] = Asked(asyncio.get_running_loop().create_future(), time.perf_counter())
        await receive(message)
        await asked.done
        return asked

    def begun(self, event_id: str) -> None:
        """The first that is seen of an answer."""
        self._asked[event_id].first = time.perf_counter()

    def answered(self, event_id: str) -> None:
        """The last that is seen of it."""
        asked = self._asked.pop(event_id)
        asked.last = time.perf_counter()
        asked.first = asked.first or asked.last
        asked.done.set_result(None)


class EditRoom(Room):
    """Shows answers while they are made, in a message that is edited."""

    edit_seconds = EDIT_SECONDS

    def parts(self, text: str) -> list[str]:
        return [text] if text else []

    async def begin(self, inbound: Any, part: str, buttons: Any = ()) -> str:
        self.begun(inbound.event_id)
        return str(next(self._numbers))

    async def edit(self, inbound: Any, message_id: str, part: str, buttons: Any = ()) -> None:
        """Seen at once."""


ROOMS = {"whole": Room, "edited": EditRoom}


def inbound(thread: str, event_id: str, text: str) -> Any:
    """A message in a thread that mentions the bot."""
    from dspy_session.conversation import ConversationKey
    from dspy_session_chat import Author, Inbound

    key, author = ConversationKey("room", "W", "C", thread), Author(f"U{thread}", "Ann")
    return Inbound(key, event_id, author, text, "mention", datetime.now(UTC), channel_name="general")
