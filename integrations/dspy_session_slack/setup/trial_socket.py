"""Opening a socket to see that it can be opened, and what Slack sends through it; nothing is acknowledged."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

from dspy_session.errors import PlatformError

HELLO_SECONDS = 10.0
"""How long Slack may take to greet a socket; it does so at once."""


@dataclass(frozen=True, slots=True)
class Greeted:
    """A socket that Slack has greeted.

    Args:
        app_id: The app that it is for, as Slack says.
        connections: How many sockets that app has open, this one among them.
        socket: The socket itself.
    """

    app_id: str
    connections: int
    socket: ClientWebSocketResponse

    async def event(self) -> str:
        """Wait for an event, and say which it is: ``"message"``. Unacknowledged, Slack sends it to the bot again.

        Raises:
            ConnectionError: Slack hangs up.
        """
        while True:
            said = await _received(self.socket)
            if said.get("type") == "disconnect":
                raise ConnectionError("Slack wants another connection")
            if said.get("type") == "events_api":
                return str(((said.get("payload") or {}).get("event") or {}).get("type") or "event")


@asynccontextmanager
async def greeted(session: ClientSession, url: str, proxy: str | None) -> AsyncIterator[Greeted]:
    """Open a socket, and close it at the end.

    Args:
        session: Opens it.
        url: Its address, from ``apps.connections.open``.
        proxy: The address of a proxy to go through.

    Raises:
        PlatformError: Slack does not let the app have a socket.
        ClientError: It cannot be opened.
        OSError: Likewise, or Slack did not greet it in time.
    """
    async with asyncio.timeout(HELLO_SECONDS):
        socket = await session.ws_connect(url, proxy=proxy)
    async with socket:
        async with asyncio.timeout(HELLO_SECONDS):
            said = await _received(socket)
        if said.get("type") != "hello":
            raise PlatformError(str(said.get("reason") or said.get("type")))
        app_id = (said.get("connection_info") or {}).get("app_id") or ""
        yield Greeted(str(app_id), int(said.get("num_connections") or 1), socket)


async def _received(socket: ClientWebSocketResponse) -> dict[str, Any]:
    message = await socket.receive()
    if message.type is not WSMsgType.TEXT:
        raise ConnectionError("Slack hung up")
    said = json.loads(message.data)
    return said if isinstance(said, dict) else {}
