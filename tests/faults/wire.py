"""A chat platform that is one socket: a bot's process on its one end, the town where people talk on the other.

Both ends ask each other and answer, in lines of JSON. The town hands messages in and hears that they were taken over;
the bot posts, and hears that the post stands. At points that a test has armed, the bot asks whether to go on, so that a
process can be held, killed or failed exactly there.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from dspy_session.conversation import Conversations
from dspy_session.errors import PlatformError, PlatformUnavailableError
from dspy_session_chat import Button, Event, Growing, Post, Posted, Receive
from dspy_session_chat.action import event_from_json
from dspy_session_chat.markup.split import split

Serve = Callable[[str, dict[str, Any]], Awaitable[Any]]

LIMIT = 100
"""Characters of one message: what is a little longer becomes two."""
_LINE = 2**20


class LinkLostError(Exception):
    """The other end is gone before it answered."""


class RefusedError(Exception):
    """The other end answered with an error."""


class Link:
    """One end of the socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, serve: Serve) -> None:
        self.lost = asyncio.Event()
        self._reader = reader
        self._writer = writer
        self._serve = serve
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._serving: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Read until the other end is gone."""
        try:
            with contextlib.suppress(ConnectionError):
                while (line := await self._reader.readline()).endswith(b"\n"):
                    self._take(json.loads(line))
        finally:
            self.lost.set()
            for answer in self._asked.values():
                if not answer.done():
                    answer.set_exception(LinkLostError())
                    answer.exception()  # whoever asked may be gone as well
            for serving in self._serving:
                serving.cancel()
            self._writer.close()

    async def ask(self, verb: str, **what: Any) -> Any:
        """What the other end answers.

        Raises:
            LinkLostError: It is gone; whether it did what was asked is not known.
            RefusedError: It answered with an error.
        """
        if self.lost.is_set():
            raise LinkLostError
        number = next(self._numbers)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        self._send({"ask": number, "verb": verb, "what": what})
        try:
            return await answer
        finally:
            del self._asked[number]

    def _take(self, message: dict[str, Any]) -> None:
        if "ask" in message:
            task = asyncio.create_task(self._answer(message))
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)
            return
        answer = self._asked.get(message["answer"])
        if answer is None or answer.done():
            return
        if "error" in message:
            answer.set_exception(RefusedError(message["error"]))
        else:
            answer.set_result(message["value"])

    async def _answer(self, message: dict[str, Any]) -> None:
        try:
            answer = {"value": await self._serve(message["verb"], message["what"])}
        except Exception as error:  # noqa: BLE001  # whatever it is, whoever asked hears of it
            answer = {"error": f"{type(error).__name__}: {error}"}
        self._send({"answer": message["ask"], **answer})

    def _send(self, message: dict[str, Any]) -> None:
        if not self.lost.is_set():
            self._writer.write(json.dumps(message).encode() + b"\n")


class Wire:
    """The bot's end: a platform.

    Args:
        port: Where the town listens, on 127.0.0.1.
        name: What the town calls this process.
        points: The points at which to ask whether to go on.
    """

    name = "wire"

    def __init__(self, port: int, name: str, points: Iterable[str] = ()) -> None:
        self._port = port
        self._process = name
        self._points = set(points)
        self._link: Link | None = None
        self._receive: Receive | None = None
        self._conversations: Conversations | None = None

    def use_conversations(self, conversations: Conversations) -> None:
        self._conversations = conversations

    async def run(self, receive: Receive) -> None:
        self._receive = receive
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=_LINE)
        os.dup(
            writer.get_extra_info("socket").fileno()
        )  # so that the town sees the end of the process, not of the wire
        self._link = Link(reader, writer, self._serve)
        reading = asyncio.create_task(self._link.run())
        try:
            await self._link.ask("hello", name=self._process, pid=os.getpid())
            await reading
        except LinkLostError:
            pass
        finally:
            reading.cancel()

    async def post(self, post: Post) -> Posted:
        what = {"event": post.inbound.event_id, "key": str(post.inbound.key)}
        await self.point("posting", **what)
        buttons = {button.action: button.about for button in post.reply.buttons}
        said = {"text": post.text, "turn": post.turn_id, "buttons": buttons, "interim": post.interim}
        answer = await self.ask("post", **what, **said, shown=post.shown, texts=split(post.text, LIMIT))
        await self.point("posted", **what)
        return Posted(tuple(answer["ids"]))

    async def ask(self, verb: str, **what: Any) -> Any:
        """Ask the town for something.

        Raises:
            PlatformUnavailableError: It cannot be reached at the moment.
        """
        assert self._link is not None
        answer = await self._link.ask(verb, **what)
        if "unavailable" in answer:
            raise PlatformUnavailableError(answer["unavailable"])
        return answer

    async def point(self, name: str, **what: Any) -> None:
        """Ask whether to go on, if a test wants to be asked here."""
        if name not in self._points or self._link is None:
            return
        with contextlib.suppress(LinkLostError):
            if await self._link.ask("at", point=name, **what) == "fail":
                raise TimeoutError("the town says so")

    async def _serve(self, verb: str, what: dict[str, Any]) -> Any:
        assert self._receive is not None
        assert self._conversations is not None
        match verb:
            case "say":
                await self._receive(event_from_json(what["event"]))
            case "arm":
                self._points = set(what["points"])
            case "forget_user":
                return await self._conversations.forget_user(what["user"])
            case "forget":
                await self._conversations.forget(what["key"])
            case _:
                raise PlatformError(f"what is {verb!r}?")
        return None


class StreamingWire(Wire):
    """One that can show an answer while it is written; nobody looks."""

    @contextlib.asynccontextmanager
    async def stream(self, growing: Growing) -> AsyncIterator[UnseenStream]:
        yield UnseenStream(growing.shown)


@dataclass(frozen=True)
class UnseenStream:
    """Shows nothing.

    Args:
        message_ids: The messages that showed a part of the answer before, maybe by another process: it ends there.
    """

    message_ids: tuple[str, ...]

    async def status(self, text: str) -> None:
        pass

    async def append(self, text: str) -> None:
        pass

    async def disown(self, known: Sequence[str]) -> None:
        pass


class EditingWire(Wire):
    """One that can change what it has posted: answers grow where all can see them."""

    edit_seconds = 0.02

    def parts(self, text: str) -> list[str]:
        return split(text, LIMIT)

    async def begin(self, inbound: Event, part: str, buttons: Sequence[Button] = ()) -> str:
        answer = await self.ask("begin", event=inbound.event_id, key=str(inbound.key), text=part)
        await self.point("begun", event=inbound.event_id)
        return str(answer["id"])

    async def edit(self, inbound: Event, message_id: str, part: str, buttons: Sequence[Button] = ()) -> None:
        await self.point("editing", event=inbound.event_id)
        await self.ask("edit", id=message_id, text=part)
