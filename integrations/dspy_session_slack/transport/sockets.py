"""The connections that Slack's events come in by: as many as were asked for, whatever Slack closes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import NoReturn

from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from dspy_session.errors import ConfigurationError, PlatformError, PlatformUnavailableError
from dspy_session_slack.transport.socket_mode import Socket

_log = logging.getLogger(__name__)

MOST = 10
"""Sockets that Slack lets an app have."""

PASSING = frozenset({"warning", "refresh_requested"})
"""Why Slack closes a connection that has been open for hours: there is another at once."""

CROWDED, DISABLED = "too_many_websockets", "link_disabled"
"""Why it closes one as soon as it is open: one too many, or Socket Mode is switched off."""

_REMEDIES = {
    CROWDED: f"an app has {MOST} connections at most: stop other bots with this app-level token, or give them fewer "
    "sockets",
    DISABLED: "on the page Socket Mode of the app's settings, switch on Enable Socket Mode",
}

LAST_SECONDS = 5.0
"""Seconds that a connection has, once another one took its place, to acknowledge what came by it: Slack warns ten
seconds before it closes one."""

Make = Callable[[asyncio.Future[NoReturn], Callable[[Socket, str], None]], Socket]
"""Makes a socket, not yet connected."""


def check_sockets(count: int) -> None:
    """See that so many can be had.

    Raises:
        ConfigurationError: They cannot.
    """
    if type(count) is not int or not 1 <= count <= MOST:
        raise ConfigurationError(f"sockets must be a number from 1 to {MOST}, as many as Slack allows; got {count!r}")


class Sockets:
    """Some sockets; each that is about to be closed is replaced by a new one before it goes.

    Args:
        make: Makes one.
        count: How many.
        pause: Seconds until a new one is asked for again when Slack gives none.
    """

    def __init__(self, make: Make, count: int, pause: float) -> None:
        self._make = make
        self._count = count
        self._pause = pause
        self._refusal: asyncio.Future[NoReturn] = asyncio.get_running_loop().create_future()
        self._sockets: set[Socket] = set()
        self._ending: set[Socket] = set()
        self._replacing: set[asyncio.Task[None]] = set()
        self._told: set[str] = set()

    async def open(self) -> None:
        """Connect; while Slack cannot be reached that is tried again.

        Raises:
            PlatformError: Slack refuses the app-level token.
        """
        for _ in range(self._count):
            await self._connect_one()

    async def refused(self) -> NoReturn:
        """Wait, for as long as Slack lets us in.

        Raises:
            PlatformError: It does not any more.
        """
        await self._refusal

    async def close(self) -> None:
        """Let what is under way be acknowledged, and leave nothing behind."""
        for task in self._replacing:
            task.cancel()
        await asyncio.gather(*self._replacing, return_exceptions=True)
        await asyncio.gather(*(socket.close() for socket in self._sockets))
        if self._refusal.done() and not self._refusal.cancelled():
            self._refusal.exception()  # seen, also when we were stopped at that very moment

    def _new(self) -> Socket:
        socket = self._make(self._refusal, self._end)
        self._sockets.add(socket)
        return socket

    def _end(self, socket: Socket, reason: str) -> None:
        """Replace a socket; Slack may warn more than once."""
        if socket in self._ending or socket.closed:
            return
        is_passing = reason in PASSING
        if is_passing:
            _log.info("Slack is about to close a connection (%s): another one takes its place", reason)
        elif reason not in self._told:
            self._told.add(reason)
            remedy = _REMEDIES.get(reason, "see status.slack.com")
            _log.warning(
                "Slack keeps no connection open (%s): %s; it is tried again every %s s", reason, remedy, self._pause
            )
        self._ending.add(socket)
        task = asyncio.create_task(self._replace(socket, 0.0 if is_passing else self._pause))
        self._replacing.add(task)
        task.add_done_callback(self._replacing.discard)

    async def _replace(self, old: Socket, pause: float) -> None:
        await asyncio.sleep(pause)
        with suppress(PlatformError):  # that Slack lets us in no more is told by the refusal
            if self._count == MOST:  # there is no room for one more
                await self._retire(old)
                await self._connect_one()
            else:
                await self._connect_one()
                await self._retire(old)

    async def _connect_one(self) -> None:
        socket = self._new()
        told = False
        while True:
            try:
                socket.wss_uri = await socket.issue_new_wss_url()
                break
            except PlatformUnavailableError as error:
                if not told:
                    _log.warning("%s; the next try is in %s s", error, self._pause)
                told = True
                await asyncio.sleep(self._pause)
        await socket.connect()

    async def _retire(self, old: Socket) -> None:
        await old.finish(LAST_SECONDS)
        await old.close()
        self._sockets.discard(old)
        self._ending.discard(old)


@asynccontextmanager
async def connected(
    app: AsyncApp, app_token: str, web_client: AsyncWebClient, *, ping_interval: float, count: int = 1
) -> AsyncIterator[Sockets]:
    """Open sockets whose events go to ``app``, and close them at the end.

    Raises:
        PlatformError: Slack refuses the app-level token.
    """

    def make(refusal: asyncio.Future[NoReturn], ending: Callable[[Socket, str], None]) -> Socket:
        return Socket(app, app_token, web_client, ping_interval, refusal=refusal, ending=ending)

    sockets = Sockets(make, count, ping_interval)
    try:
        await sockets.open()
        yield sockets
    finally:
        await sockets.close()
