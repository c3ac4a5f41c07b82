"""A Discord on 127.0.0.1 that the real discord.py connects to."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import aiohttp
from aiohttp import web

from tests.loopback.discord.buckets import Buckets
from tests.loopback.discord.doings import Doings
from tests.loopback.discord.faults import Fault, Faults, When
from tests.loopback.discord.network import LoopbackResolver, certificates
from tests.loopback.discord.rest import Rest
from tests.loopback.discord.telling import Payload
from tests.loopback.discord.waiting import Waiting
from tests.loopback.discord.world import Channel, Message


class FakeDiscord(Doings):
    """A whole Discord: a world of people and channels, the API and the gateway.

    >>> async with FakeDiscord() as discord:                                          # doctest: +SKIP
    ...     client = discord_py.Client(intents=..., connector=discord.connector())
    ...     ...
    ...     ada = discord.person("Ada")
    ...     await discord.say(discord.dm(ada), ada, "hello")
    ...     post = await discord.next_post()

    Args:
        message_content: Whether the portal's Message Content switch is on.
    """

    def __init__(self, *, message_content: bool = True) -> None:
        self._waiting = Waiting()
        super().__init__(self._waiting, message_content=message_content)
        self.faults = Faults()
        self.buckets = Buckets()
        self.posts: list[Message] = []
        self.edits: list[Message] = []
        self.typings: list[Channel] = []
        self.requests: list[tuple[str, str]] = []
        self._certificates = certificates()
        self._next_post = 0
        self._runner: web.AppRunner | None = None
        self._port = 0

    async def __aenter__(self) -> Self:
        application = Rest(self).application()
        application.router.add_get("/", self.gateway.handle)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._certificates.server)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.faults.over.set()
        await self.gateway.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def connector(self) -> aiohttp.TCPConnector:
        """A connector for the real client: Discord's host names are this server, no other name resolves."""
        return aiohttp.TCPConnector(resolver=self.resolver(), ssl=self.trust())

    def trust(self) -> ssl.SSLContext:
        """Trust in our certificates, and in no others."""
        return self._certificates.client

    def resolver(self) -> LoopbackResolver:
        """The names alone, for a client that does not trust our certificates."""
        return LoopbackResolver(self._port)

    def certify(self, file: Path) -> None:
        """Write the authority behind our certificates to ``file``, for another process."""
        self._certificates.trusted_by(file)

    # what goes wrong

    def refuse(
        self, method: str, path: str, status: int, body: Payload | str = "", *, when: When = "before", times: int = 1
    ) -> None:
        """Answer the next ``times`` requests like ``path`` with an error."""
        self.faults.add(Fault(method, path, status, body, when=when, times=times))

    def limit(self, method: str, path: str, *, retry_after: float, times: int = 1, everywhere: bool = False) -> None:
        """Answer the next ``times`` requests like ``path`` with 429; ``retry_after`` in seconds.

        ``everywhere`` says that it is the limit of all requests together.
        """
        body = {"message": "You are being rate limited.", "retry_after": retry_after, "global": everywhere}
        headers = {"Via": "1.1 google", "Retry-After": str(retry_after)}
        headers |= {"X-RateLimit-Global": "true", "X-RateLimit-Scope": "global"} if everywhere else {}
        self.faults.add(Fault(method, path, 429, body, headers, times=times))

    def cut(self, method: str, path: str, *, when: When = "before", times: int = 1) -> None:
        """Cut the connection of the next ``times`` requests like ``path``."""
        self.faults.add(Fault(method, path, None, when=when, times=times))

    # what the bot did

    def changed(self) -> None:
        """Wake everybody who waits for a condition."""
        self._waiting.changed()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until ``condition()`` holds; it is looked at after every request and gateway frame.

        Raises:
            TimeoutError: It did not hold in time.
        """
        await self._waiting.until(condition)

    async def connected(self) -> None:
        """Wait until a client has identified or resumed."""
        await self.until(lambda: self.gateway.live)

    async def next_post(self) -> Message:
        """The bot's next message that has not been asked for yet."""
        await self.until(lambda: len(self.posts) > self._next_post)
        self._next_post += 1
        return self.posts[self._next_post - 1]

    def requested(self, method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"], ending: str) -> int:
        """How many requests of ``method`` came for a path that ends so."""
        return sum(one == method and path.endswith(ending) for one, path in self.requests)
