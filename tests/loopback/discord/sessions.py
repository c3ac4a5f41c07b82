"""What the gateway and a client say to each other: operations, intents, sessions and the sockets that they go over."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from typing import Any

from aiohttp import web

from tests.loopback.discord.squeezing import Squeeze, squeeze_of

Payload = dict[str, Any]


class Op(IntEnum):
    DISPATCH = 0
    HEARTBEAT = 1
    IDENTIFY = 2
    RESUME = 6
    RECONNECT = 7
    INVALID_SESSION = 9
    HELLO = 10
    HEARTBEAT_ACK = 11


CLIENTS = (3, 4, 8)
"""What a client may send besides: its presence, a voice state, a request for members."""


class Intent(IntFlag):
    GUILDS = 1 << 0
    GUILD_MEMBERS = 1 << 1
    GUILD_PRESENCES = 1 << 8
    GUILD_MESSAGES = 1 << 9
    GUILD_MESSAGE_REACTIONS = 1 << 10
    DIRECT_MESSAGES = 1 << 12
    DIRECT_MESSAGE_REACTIONS = 1 << 13
    MESSAGE_CONTENT = 1 << 15


PRIVILEGED = Intent.GUILD_MEMBERS | Intent.GUILD_PRESENCES | Intent.MESSAGE_CONTENT
THERE_ARE = (1 << 17) - 1 | 3 << 20 | 3 << 24
"""The bits of all intents that Discord knows."""


@dataclass(eq=False)
class Session:
    """One identified client: its intents, its shard, its presence, and every event since, kept for a resume."""

    id: str
    intents: Intent
    shard: tuple[int, int] = (0, 1)
    presence: Payload | None = None
    events: list[tuple[str, Payload]] = field(default_factory=list)
    connection: Connection | None = None

    async def dispatch(self, name: str, payload: Payload) -> None:
        """Send an event, or keep it for the resume when the client is away."""
        self.events.append((name, payload))
        if self.connection is not None:
            await self.connection.event(len(self.events), name, payload)

    def is_told_of(self, guild: int | None) -> bool:
        """Whether events of ``guild`` are this shard's; those of no server are the first one's."""
        number, count = self.shard
        return number == (0 if guild is None else (guild >> 22) % count)

    async def replay(self, connection: Connection, after: int) -> None:
        """Send what came after event number ``after``, then take ``connection`` for what is to come."""
        while after < len(self.events):
            name, payload = self.events[after]
            after += 1
            await connection.event(after, name, payload)
        self.connection = connection


class Connection:
    """One websocket, with the stream of a compressor that Discord keeps over all of its frames."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        self._socket = socket
        self._transport = request.transport
        self._squeeze: Squeeze | None = squeeze_of(request.query.get("compress", ""))
        self._sending = asyncio.Lock()

    async def send(self, op: Op, data: Any = None, *, number: int | None = None, name: str | None = None) -> None:
        await self.send_text(json.dumps({"op": op, "d": data, "s": number, "t": name}))

    async def send_text(self, frame: str) -> None:
        """Send ``frame`` as it is, whatever it says."""
        async with self._sending:
            if self._socket.closed or self._transport is None or self._transport.is_closing():
                return
            if self._squeeze is None:
                await self._socket.send_str(frame)
            else:
                await self._socket.send_bytes(self._squeeze(frame.encode()))

    async def event(self, number: int, name: str, payload: Payload) -> None:
        await self.send(Op.DISPATCH, payload, number=number, name=name)

    async def close(self, code: int) -> None:
        await self._socket.close(code=code)

    def abort(self) -> None:
        """Cut the wire without a closing frame."""
        if self._transport is not None:
            self._transport.abort()
