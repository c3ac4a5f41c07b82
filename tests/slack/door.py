"""A web server of somebody's, with the platform mounted in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from aiohttp import web

from dspy_session_slack import Slack
from tests.loopback.slack import FakeSlack
from tests.loopback.slack.http_mode import HttpMode, signed

T = TypeVar("T")

NEWS = b'{"type": "event_callback", "event": {"type": "nothing_new"}}'


async def until(ask: Callable[[], Awaitable[T]], holds: Callable[[T], object]) -> T:
    """Ask again and again: a platform does not say when it begins."""
    async with asyncio.timeout(5):
        while not holds(found := await ask()):  # noqa: ASYNC110  # nothing of ours is set by what is asked
            await asyncio.sleep(0)
    return found


class Door:
    """Hands requests to whichever platform was mounted last.

    Args:
        slack: Whose requests they are.
        http: Brings them.
    """

    def __init__(self, slack: FakeSlack, http: HttpMode) -> None:
        self._slack = slack
        self.http = http
        self._routes: dict[str, web.RouteDef] = {}

    def mount(self, platform: Slack) -> Slack:
        self._routes = {route.path: route for route in platform.routes()}
        return platform

    async def answer(self, request: web.Request) -> web.StreamResponse:
        route = self._routes.get(request.path)
        if route is None:
            return web.Response(status=404)
        return await route.handler(request)  # type: ignore[arg-type,return-value,misc]

    async def open(self) -> None:
        """Wait until the platform takes what comes."""
        await until(lambda: self.send(NEWS), lambda answer: answer[0] == 200)

    async def send(self, body: bytes, **headers: str) -> tuple[int, str]:
        """A request signed by Slack."""
        kind = {"Content-Type": "application/json"}
        return await self.http.request(body, kind | signed(body, self.http.now()) | headers)


@asynccontextmanager
async def door_for(slack: FakeSlack) -> AsyncIterator[Door]:
    """A server that ``slack`` brings everything to."""
    application = web.Application()
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5, auto_decompress=False)
    places: list[Door] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        return await places[0].answer(request)

    application.router.add_route("*", "/{path:.*}", answer)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        places.append(Door(slack, slack.deliver_to("{}:{}".format(*runner.addresses[0][:2]))))
        yield places[0]
    finally:
        await runner.cleanup()
