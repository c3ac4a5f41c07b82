"""The websocket side of the fake Discord: sessions that are identified, resumed, replayed and dropped."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from typing import Any

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web


class Op(IntEnum):
    DISPATCH = 0
    HEARTBEAT = 1
    IDENTIFY = 2
    RESUME = 6
    RECONNECT = 7
    INVALID_SESSION = 9
    HELLO = 10
    HEARTBEAT_ACK = 11


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

NOT_AUTHENTICATED = 4003
AUTHENTICATION_FAILED = 4004
ALREADY_AUTHENTICATED = 4005
DISALLOWED_INTENTS = 4014

Payload = dict[str, Any]
View = Callable[["Session"], Payload | None]
"""What a session gets of an event; None when its intents leave the event out."""


@dataclass(eq=False)
class Session:
    """One identified client: its intents, and every event since, kept for a resume."""

    id: str
    intents: Intent
    events: list[tuple[str, Payload]] = field(default_factory=list)
    connection: Connection | None = None

    async def dispatch(self, name: str, payload: Payload) -> None:
        """Send an event, or keep it for the resume when the client is away."""
        self.events.append((name, payload))
        if self.connection is not None:
            await self.connection.event(len(self.events), name, payload)

    async def replay(self, connection: Connection, after: int) -> None:
        """Send what came after event number ``after``, then take ``connection`` for what is to come."""
        while after < len(self.events):
            name, payload = self.events[after]
            after += 1
            await connection.event(after, name, payload)
        self.connection = connection


class Connection:
    """One websocket, with the zlib stream that Discord keeps over all of its frames."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        self._socket = socket
        self._transport = request.transport
        self._deflate = zlib.compressobj() if request.query.get("compress") == "zlib-stream" else None
        self._sending = asyncio.Lock()

    async def send(self, op: Op, data: Any = None, *, number: int | None = None, name: str | None = None) -> None:
        frame = json.dumps({"op": op, "d": data, "s": number, "t": name})
        async with self._sending:
            if self._socket.closed or self._transport is None or self._transport.is_closing():
                return
            if self._deflate is None:
                await self._socket.send_str(frame)
            else:
                squeezed = self._deflate.compress(frame.encode()) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
                await self._socket.send_bytes(squeezed)

    async def event(self, number: int, name: str, payload: Payload) -> None:
        await self.send(Op.DISPATCH, payload, number=number, name=name)

    async def close(self, code: int) -> None:
        await self._socket.close(code=code)

    def abort(self) -> None:
        """Cut the wire without a closing frame."""
        if self._transport is not None:
            self._transport.abort()


class Gateway:
    """Speaks the gateway protocol with every client that connects.

    ``ready`` makes the payload of READY for a new session, ``greet`` sends what follows it.
    """

    def __init__(
        self,
        *,
        token: Callable[[], str],
        granted: Callable[[], Intent],
        ready: Callable[[Session], Payload],
        greet: Callable[[Session], list[tuple[str, Payload]]],
        changed: Callable[[], None],
    ) -> None:
        self._token = token
        self._granted = granted
        self._ready = ready
        self._greet = greet
        self._changed = changed
        self._connections: set[Connection] = set()
        self.sessions: dict[str, Session] = {}
        self.identified = 0
        self.resumed = 0
        self.beats = 0
        self.heartbeat_ms = 41_250
        self.answers_beats = True

    @property
    def live(self) -> list[Session]:
        """The sessions that a client is connected to."""
        return [session for session in self.sessions.values() if session.connection is not None]

    async def dispatch(self, name: str, view: View) -> None:
        for session in list(self.sessions.values()):
            payload = view(session)
            if payload is not None:
                await session.dispatch(name, payload)

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        connection = Connection(socket, request)
        self._connections.add(connection)
        session: Session | None = None
        try:
            await connection.send(Op.HELLO, {"heartbeat_interval": self.heartbeat_ms})
            async for frame in socket:
                op, data = _read(frame)
                if op == Op.HEARTBEAT:
                    await self._beat(connection)
                elif op in (Op.IDENTIFY, Op.RESUME) and session is not None:
                    await connection.close(ALREADY_AUTHENTICATED)
                elif op == Op.IDENTIFY:
                    session = await self._identify(connection, data)
                elif op == Op.RESUME:
                    session = await self._resume(connection, data)
                elif session is None:
                    await connection.close(NOT_AUTHENTICATED)
        finally:
            self._connections.discard(connection)
            if session is not None and session.connection is connection:
                session.connection = None
            self._changed()
        return socket

    async def drop(self, code: int | None = None) -> None:
        """End every connection: with a close frame of ``code``, or by cutting the wire. Sessions can be resumed."""
        for session in self.live:
            session.connection = None
        for connection in list(self._connections):
            if code is None:
                connection.abort()
            else:
                await connection.close(code)

    async def ask_to_reconnect(self) -> None:
        """Send RECONNECT: the client is to come back and resume."""
        for session in self.live:
            if session.connection is not None:
                await session.connection.send(Op.RECONNECT)

    async def forget_sessions(self) -> None:
        """Send INVALID_SESSION: the clients must identify anew, and what they missed is lost."""
        connected = [session.connection for session in self.live]
        self.sessions.clear()
        for connection in connected:
            if connection is not None:
                await connection.send(Op.INVALID_SESSION, False)

    async def close(self) -> None:
        for connection in list(self._connections):
            await connection.close(WSCloseCode.GOING_AWAY)

    async def _beat(self, connection: Connection) -> None:
        self.beats += 1
        if self.answers_beats:
            await connection.send(Op.HEARTBEAT_ACK)
        self._changed()

    async def _identify(self, connection: Connection, data: Payload) -> Session | None:
        intents = Intent(data["intents"])
        if data["token"] != self._token():
            await connection.close(AUTHENTICATION_FAILED)
            return None
        if intents & PRIVILEGED & ~self._granted():
            await connection.close(DISALLOWED_INTENTS)
            return None
        self.identified += 1
        session = Session(f"session-{self.identified}", intents, connection=connection)
        self.sessions[session.id] = session
        await session.dispatch("READY", self._ready(session))
        for name, payload in self._greet(session):
            await session.dispatch(name, payload)
        self._changed()
        return session

    async def _resume(self, connection: Connection, data: Payload) -> Session | None:
        if data["token"] != self._token():
            await connection.close(AUTHENTICATION_FAILED)
            return None
        session = self.sessions.get(data["session_id"])
        if session is None:
            await connection.send(Op.INVALID_SESSION, False)
            return None
        await session.replay(connection, data["seq"])
        await session.dispatch("RESUMED", {})
        self.resumed += 1
        self._changed()
        return session


def _read(frame: WSMessage) -> tuple[int, Any]:
    if frame.type is not WSMsgType.TEXT:
        return -1, None
    body = json.loads(frame.data)
    return body["op"], body.get("d")
