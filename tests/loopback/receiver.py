"""A webhook receiver on 127.0.0.1 that verifies signatures with the PyPI library and fails on command."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from standardwebhooks import Webhook as Oracle
from standardwebhooks import WebhookVerificationError

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

_PATIENCE = 10.0


@dataclass(frozen=True)
class Reply:
    """Answer with a status; before that, wait for ``after`` if it is given."""

    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    after: asyncio.Event | None = None


@dataclass(frozen=True)
class Hang:
    """Take the request and never answer."""


@dataclass(frozen=True)
class Abort:
    """Take the request and break the connection."""


@dataclass(frozen=True)
class DripHead:
    """Answer so slowly that the headers are never complete."""


@dataclass(frozen=True)
class DripBody:
    """Answer 200 at once, and its body a byte at a time without end."""


Behaviour = Reply | Hang | Abort | DripHead | DripBody


@dataclass(frozen=True)
class Delivery:
    """One request as it arrived; ``verified`` is what the oracle said of its signature."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    verified: bool

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def payload(self) -> Any:
        return json.loads(self.body)

    @property
    def messages(self) -> list[Any]:
        """The messages in it, each with its id: several in a batch, else the one that it is."""
        payload = self.payload
        return payload["data"]["messages"] if payload["type"] == "batch" else [{"id": self.id, **payload}]

    @property
    def conversation(self) -> str:
        return str(self.messages[0]["data"]["conversation"]["key"])

    @property
    def turn_id(self) -> str:
        return str(self.payload["data"]["turn_id"])


class Receiver:
    """Answers 204 unless told otherwise. Open it with ``async with open_receiver() as receiver``.

    ``url`` is where to post, ``deliveries`` what came, in order of arrival, and ``peers`` the ports it came from: one
    for each connection.
    """

    def __init__(self, secret: str = SECRET) -> None:
        self.url = ""
        self.deliveries: list[Delivery] = []
        self.peers: set[int] = set()
        self._oracle = Oracle(secret)
        self._script: deque[Behaviour] = deque()
        self._scripts: defaultdict[str, deque[Behaviour]] = defaultdict(deque)
        self._always: Behaviour | None = None
        self._arrived = asyncio.Condition()
        self._closing = asyncio.Event()

    def behave(self, *behaviours: Behaviour, conversation: str | None = None) -> None:
        """Do this with the next requests, one each; only with those of one conversation if it is named."""
        script = self._script if conversation is None else self._scripts[conversation]
        script.extend(behaviours)

    def always(self, behaviour: Behaviour | None) -> None:
        """Do this with every request for which nothing else was said; None to answer 204 again."""
        self._always = behaviour

    async def arrived(self, count: int) -> list[Delivery]:
        """The deliveries, as soon as there are ``count``."""
        return await self.until(lambda: len(self.deliveries) >= count)

    async def until(self, condition: Callable[[], bool]) -> list[Delivery]:
        """The deliveries, as soon as ``condition`` holds; it is looked at whenever one arrives."""
        async with asyncio.timeout(_PATIENCE), self._arrived:
            await self._arrived.wait_for(condition)
        return list(self.deliveries)

    def application(self) -> web.Application:
        """The aiohttp application behind ``url``."""
        application = web.Application(client_max_size=2**26)
        application.router.add_route("*", "/{path:.*}", self._take)
        return application

    def close(self) -> None:
        """Let go of the requests that hang."""
        self._closing.set()

    async def _take(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        delivery = Delivery(request.path_qs, request.headers, body, self._verify(request.headers, body))
        behaviour = self._next(delivery)
        if request.transport is not None:
            self.peers.add(request.transport.get_extra_info("peername")[1])
        async with self._arrived:
            self.deliveries.append(delivery)
            self._arrived.notify_all()
        return await self._answer(request, behaviour)

    def _verify(self, headers: Mapping[str, str], body: bytes) -> bool:
        try:
            self._oracle.verify(body, dict(headers))
        except (WebhookVerificationError, ValueError):
            return False
        return True

    def _next(self, delivery: Delivery) -> Behaviour:
        own = self._scripts.get(delivery.conversation) if delivery.body else None
        if own:
            return own.popleft()
        if self._script:
            return self._script.popleft()
        return self._always or Reply()

    async def _answer(self, request: web.Request, behaviour: Behaviour) -> web.StreamResponse:
        match behaviour:
            case Reply(status, headers, body, after):
                if after is not None:
                    await after.wait()
                return web.Response(status=status, headers=headers, body=body)
            case Hang():
                await self._closing.wait()
            case Abort():
                pass
            case DripHead():
                await self._drip(request, b"HTTP/1.1 200 OK\r\nX-Slow: ")
            case DripBody():
                response = web.StreamResponse(headers={"Content-Length": "1000000"})
                await response.prepare(request)
                await self._drip(request, b"")
        if request.transport is not None:
            request.transport.abort()
        raise asyncio.CancelledError  # the connection is gone: there is nobody to answer

    async def _drip(self, request: web.Request, start: bytes) -> None:
        if request.transport is not None:
            request.transport.write(start)
        while not self._closing.is_set() and request.transport is not None and not request.transport.is_closing():
            request.transport.write(b"z")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.01):  # the drip itself
                    await self._closing.wait()


@contextlib.asynccontextmanager
async def open_receiver(secret: str = SECRET, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """A receiver that listens while the block runs, on a port of its own."""
    receiver = Receiver(secret)
    runner = web.AppRunner(receiver.application(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        host, port = runner.addresses[0][:2]
        receiver.url = f"{'http' if tls is None else 'https'}://{host}:{port}/turns"
        yield receiver
    finally:
        receiver.close()
        await runner.cleanup()
