"""A playground on a real bot, and a page that reads its events as a browser does."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import quote

import aiohttp
import dspy

from dspy_session.conversation import Conversations, Sink
from dspy_session.stores import Store
from dspy_session_bots.playground import Playground
from dspy_session_chat import Bot, Event, Growing
from dspy_session_chat.rules.manners import Manners
from tests.stub_lm import Reply, StubModel, echo

PATIENCE = 100.0
"""Seconds after which a test that waits in vain fails."""

JSON = dict[str, Any]


@contextlib.asynccontextmanager
async def serving(
    store: str | Store = "memory://",
    *,
    reply: Reply = echo,
    agent: dspy.Module | None = None,
    sinks: Callable[[Playground], list[Sink]] = lambda playground: [],
    output_field: str | None = None,
    manners: Manners | None = None,
    model: StubModel | None = None,
    **options: Any,
) -> AsyncIterator[Visitor]:
    """A bot on a playground whose model answers with ``reply``, and somebody who visits it."""
    ready = asyncio.Event()
    playground = Playground(on_ready=lambda url: ready.set(), output_field=output_field, **options)
    playground.bind()
    bot = Bot(
        agent or dspy.Predict("question -> answer"),
        platforms=[playground],
        store=store,
        sinks=[playground, *sinks(playground)],
        output_field=output_field,
        manners=manners,
        lm=(model or StubModel(reply)).lm,
    )
    async with bot, asyncio.timeout(PATIENCE):
        waiting, serve = asyncio.create_task(ready.wait()), asyncio.create_task(bot.serve())
        try:
            await asyncio.wait([waiting, serve], return_when=asyncio.FIRST_COMPLETED)
            if serve.done():
                await serve
            async with aiohttp.ClientSession(playground.url) as http:
                yield Visitor(http, playground, bot.conversations)
        finally:
            for task in (waiting, serve):
                task.cancel()
            await asyncio.gather(waiting, serve, return_exceptions=True)


Does = Callable[["Visitor", Event], Awaitable[None]]
"""What a bot does with an event."""


async def nothing(visitor: Visitor, event: Event) -> None:
    """A bot that only listens."""


@contextlib.asynccontextmanager
async def overheard(does: Does = nothing, agent: dspy.Module | None = None, **options: Any) -> AsyncIterator[Visitor]:
    """A playground without a bot: what it hands over is in the visitor's ``received``, after ``does`` saw it."""
    ready = asyncio.Event()
    playground = Playground(on_ready=lambda url: ready.set(), **options)
    conversations = Conversations(agent or dspy.Predict("question -> answer"), "memory://", sinks=[playground])
    async with conversations, asyncio.timeout(PATIENCE):
        playground.bind()
        lm = StubModel().lm
        async with aiohttp.ClientSession(playground.url) as http:
            visitor = Visitor(http, playground, conversations)

            async def receive(event: Event) -> None:
                await does(visitor, event)
                visitor.take(event)

            playground.use_conversations(conversations)
            with dspy.context(lm=lm):
                running = asyncio.create_task(playground.run(receive))
            await ready.wait()
            try:
                with dspy.context(lm=lm):
                    yield visitor
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)


ANN = {"id": "ann", "name": "Ann"}
BEN = {"id": "ben", "name": "Ben"}


class Visitor:
    """Somebody with a browser."""

    def __init__(self, http: aiohttp.ClientSession, playground: Playground, conversations: Conversations) -> None:
        self.http = http
        self.playground = playground
        self.conversations = conversations
        self.received: list[Event] = []
        self._more = asyncio.Event()
        self.origin = playground.url.removesuffix("/")

    def take(self, event: Event) -> None:
        """Note an event that was handed over."""
        self.received.append(event)
        self._more.set()

    async def until_received(self, enough: Callable[[list[Event]], bool]) -> None:
        """Wait until what was handed over is enough."""
        while not enough(self.received):
            self._more.clear()
            await self._more.wait()

    @contextlib.asynccontextmanager
    async def page(self, thread: str = "one") -> AsyncIterator[Page]:
        """Look at a thread."""
        async with self.http.get("/api/events", params={"thread": thread}) as response:
            assert response.status == 200, await response.text()
            yield Page(response)

    async def say(self, text: str, thread: str = "one", **more: Any) -> str:
        """Write a message; its id."""
        status, body = await self.post(f"/api/threads/{thread}/messages", json={"text": text, **more})
        assert status == 202, body
        return str(body["id"])

    async def act(self, kind: str, thread: str = "one", author: JSON = ANN, **deed: Any) -> str:
        """Do something; the event's id."""
        body = {"kind": kind, "author": author, **deed}
        status, said = await self.post(f"/api/threads/{thread}/actions", json=body)
        assert status == 202, said
        return str(said["id"])

    async def bring(self, name: str, data: bytes, media_type: str = "text/plain") -> JSON:
        """Upload a file; what the page knows of it."""
        headers = {"Content-Type": media_type}
        status, kept = await self.post(f"/api/files?name={quote(name, safe='')}", headers=headers, data=data)
        assert status == 201, kept
        return kept

    async def exchanges(self, thread: str = "one") -> list[JSON]:
        """What a page that comes now shows of a thread."""
        async with self.page(thread) as page:
            found: list[JSON] = (await page.whole())["thread"]["exchanges"]
            return found

    async def ask(self, text: str, thread: str = "one") -> JSON:
        """Write a message and wait for its answer."""
        async with self.page(thread) as page:
            return await page.answer(await self.say(text, thread))

    async def post(self, path: str, headers: dict[str, str] | None = None, **body: Any) -> tuple[int, JSON]:
        """Post as the page does; the answer's status and what it says."""
        headers = {"Origin": self.origin, **(headers or {})}
        async with self.http.post(path, headers=headers, **body) as response:
            text = await response.text()
            return response.status, json.loads(text) if text else {}


class Page:
    """The events of one thread."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.heartbeats = 0

    async def next(self) -> tuple[str, JSON]:
        """The next event: its name and what it holds.

        Raises:
            EOFError: The server let the page go.
        """
        name = ""
        async for line in self._response.content:
            word, _, rest = line.decode().rstrip("\n").partition(": ")
            if word == "event":
                name = rest
            elif word == "data":
                return name, json.loads(rest)
            elif line.startswith(b":"):
                self.heartbeats += 1
        raise EOFError

    async def until(self, name: str, holds: Callable[[JSON], bool] = lambda data: True) -> JSON:
        """The next event with this name that is as wanted."""
        while True:
            event, data = await self.next()
            if event == name and holds(data):
                return data

    async def until_all(self, name: str, *wanted: Callable[[JSON], bool]) -> list[JSON]:
        """The first events with this name that are as wanted, one for each, in whatever order they come."""
        found: dict[int, JSON] = {}
        while len(found) < len(wanted):
            event, data = await self.next()
            if event == name:
                found |= {place: data for place, holds in enumerate(wanted) if place not in found and holds(data)}
        return [found[place] for place in range(len(wanted))]

    async def whole(self) -> JSON:
        """The first event: everything that there is."""
        name, data = await self.next()
        assert name == "whole"
        return data

    async def answer(self, message: str) -> JSON:
        """The exchange of a message once it is answered."""
        return await self.until(
            "exchange", lambda exchange: exchange["id"] == message and exchange["phase"] in ("answered", "notice")
        )


def about_to_answer(event: Event) -> Growing:
    """The answer to ``event`` that a platform is asked to show."""

    async def told(shown: tuple[str, ...]) -> None: ...

    async def may_show() -> bool:
        return True

    return Growing(event, (), str, (), told, may_show)
