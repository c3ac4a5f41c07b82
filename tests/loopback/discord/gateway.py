"""The websocket side of the fake Discord: sessions that are identified, resumed, replayed and dropped."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from aiohttp import WSCloseCode, WSMessage, web

from tests.loopback.discord.sessions import CLIENTS, PRIVILEGED, THERE_ARE, Connection, Intent, Op, Session

Payload = dict[str, Any]

UNKNOWN_OPCODE = 4001
DECODE_ERROR = 4002
NOT_AUTHENTICATED = 4003
AUTHENTICATION_FAILED = 4004
ALREADY_AUTHENTICATED = 4005
INVALID_SEQUENCE = 4007
INVALID_SHARD = 4010
SHARDING_REQUIRED = 4011
INVALID_INTENTS = 4013
DISALLOWED_INTENTS = 4014

STARTS = 1000
"""Sessions that a bot may start in a day."""

View = Callable[[Session], Payload | None]
"""What a session gets of an event; None when its intents leave the event out."""


class Gateway:
    """Speaks the gateway protocol with every client that connects.

    ``ready`` makes the payload of READY for a new session, ``greet`` sends what follows it. A test may set
    ``shards`` (how many Discord recommends), ``must_shard``, ``starts_left`` (sessions that may still be started today)
    and ``hang_ups``: so many connections end right after READY or RESUMED, with the code ``hang_up_code``. Where
    ``servers_come_late``, nothing follows READY by itself.
    ``too_fast`` identifications are answered with INVALID_SESSION, as those are that come too soon after another.
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
        self.connections = 0
        self.shards = 1
        self.must_shard = False
        self.starts_left = STARTS
        self.starts_again_ms = 86_400_000
        self.overdrawn = False
        self.too_fast = 0
        self.hang_ups = 0
        self.servers_come_late = False
        self.hang_up_code: int | None = 4000

    @property
    def live(self) -> list[Session]:
        """The sessions that a client is connected to."""
        return [session for session in self.sessions.values() if session.connection is not None]

    async def dispatch(self, name: str, view: View) -> None:
        for session in list(self.sessions.values()):
            payload = view(session)
            if payload is not None and session.is_told_of(_guild_of(name, payload)):
                await session.dispatch(name, payload)

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        connection = Connection(socket, request)
        self._connections.add(connection)
        self.connections += 1
        session: Session | None = None
        try:
            await connection.send(Op.HELLO, {"heartbeat_interval": self.heartbeat_ms})
            async for frame in socket:
                op, data = _read(frame)
                if op is None:
                    await connection.close(DECODE_ERROR)
                elif op == Op.HEARTBEAT:
                    await self._beat(connection)
                elif op in (Op.IDENTIFY, Op.RESUME) and session is not None:
                    await connection.close(ALREADY_AUTHENTICATED)
                elif op == Op.IDENTIFY:
                    session = await self._identify(connection, data)
                elif op == Op.RESUME:
                    session = await self._resume(connection, data)
                elif session is None:
                    await connection.close(NOT_AUTHENTICATED)
                elif op not in CLIENTS:
                    await connection.close(UNKNOWN_OPCODE)
        finally:
            self._connections.discard(connection)
            if session is not None and session.connection is connection:
                session.connection = None
            self._changed()
        return socket

    async def drop(self, code: int | None = None, *, shard: int | None = None) -> None:
        """End every connection: with a close frame of ``code``, or by cutting the wire. Sessions can be resumed."""
        meant = [session for session in self.live if shard in (None, session.shard[0])]
        ending = list(self._connections) if shard is None else [session.connection for session in meant]
        for session in meant:
            session.connection = None
        for connection in ending:
            if connection is not None:
                await self._end(connection, code)

    async def ask_to_reconnect(self) -> None:
        """Send RECONNECT: the client is to come back and resume."""
        for session in self.live:
            if session.connection is not None:
                await session.connection.send(Op.RECONNECT)

    async def forget_sessions(self, *, shard: int | None = None) -> None:
        """Send INVALID_SESSION: the clients must identify anew, and what they missed is lost."""
        meant = [session for session in self.sessions.values() if shard in (None, session.shard[0])]
        connected = [session.connection for session in meant]
        for session in meant:
            del self.sessions[session.id]
        for connection in connected:
            if connection is not None:
                await connection.send(Op.INVALID_SESSION, False)

    async def ask_to_resume(self) -> None:
        """Send INVALID_SESSION that is none: the clients are to come back and resume."""
        for session in self.live:
            if session.connection is not None:
                await session.connection.send(Op.INVALID_SESSION, True)

    async def ask_to_beat(self) -> None:
        """Send HEARTBEAT: the clients are to answer with one at once."""
        for session in self.live:
            if session.connection is not None:
                await session.connection.send(Op.HEARTBEAT)

    async def say(self, frame: str) -> None:
        """Send ``frame`` to every client as it is: what Discord should never send."""
        for session in self.live:
            if session.connection is not None:
                await session.connection.send_text(frame)

    async def tell_of_servers(self) -> None:
        """Send what ``servers_come_late`` has kept back."""
        for session in self.live:
            await self._tell_of_servers(session)

    async def _tell_of_servers(self, session: Session) -> None:
        for name, payload in self._greet(session):
            await session.dispatch(name, payload)

    def start_limit(self) -> Payload:
        """How many sessions may still be started."""
        return {
            "total": STARTS,
            "remaining": self.starts_left,
            "reset_after": self.starts_again_ms,
            "max_concurrency": 1,
        }

    async def close(self) -> None:
        for connection in list(self._connections):
            await connection.close(WSCloseCode.GOING_AWAY)

    async def _beat(self, connection: Connection) -> None:
        self.beats += 1
        if self.answers_beats:
            await connection.send(Op.HEARTBEAT_ACK)
        self._changed()

    async def _identify(self, connection: Connection, data: Payload) -> Session | None:
        if (refusal := self._refusal(data)) is not None:
            await connection.close(refusal)
            return None
        if self.too_fast:
            self.too_fast -= 1
            await connection.send(Op.INVALID_SESSION, False)
            return None
        self.identified += 1
        self.starts_left -= 1
        number, count = data.get("shard", (0, 1))
        session = Session(f"session-{self.identified}", Intent(data["intents"]), (number, count), data.get("presence"))
        self.sessions[session.id] = session
        session.connection = connection
        await session.dispatch("READY", self._ready(session))
        if not self.servers_come_late:
            await self._tell_of_servers(session)
        await self._hang_up(connection)
        self._changed()
        return session

    def _refusal(self, data: Payload) -> int | None:
        """The code of the close frame that answers an identification; None when it is taken."""
        number, count = data.get("shard", (0, 1))
        if not self.starts_left:
            self.overdrawn = True  # Discord resets the token, and writes to the bot's owner
        if data["token"] != self._token() or self.overdrawn:
            return AUTHENTICATION_FAILED
        if not 0 <= number < count:
            return INVALID_SHARD
        if self.must_shard and "shard" not in data:
            return SHARDING_REQUIRED
        if data["intents"] & ~THERE_ARE:
            return INVALID_INTENTS
        if data["intents"] & PRIVILEGED & ~self._granted():
            return DISALLOWED_INTENTS
        return None

    async def _hang_up(self, connection: Connection) -> None:
        if self.hang_ups:
            self.hang_ups -= 1
            await self._end(connection, self.hang_up_code)

    async def _end(self, connection: Connection, code: int | None) -> None:
        if code is None:
            connection.abort()
        else:
            await connection.close(code)

    async def _resume(self, connection: Connection, data: Payload) -> Session | None:
        if data["token"] != self._token():
            await connection.close(AUTHENTICATION_FAILED)
            return None
        session = self.sessions.get(data["session_id"])
        if session is None:
            await connection.send(Op.INVALID_SESSION, False)
            return None
        if not isinstance(data["seq"], int) or data["seq"] > len(session.events):
            del self.sessions[session.id]
            await connection.close(INVALID_SEQUENCE)
            return None
        await session.replay(connection, data["seq"])
        await session.dispatch("RESUMED", {})
        self.resumed += 1
        await self._hang_up(connection)
        self._changed()
        return session


def _read(frame: WSMessage) -> tuple[int | None, Any]:
    """What a client says; no opcode where it cannot be understood."""
    try:
        body = json.loads(frame.data)
        return int(body["op"]), body.get("d")
    except (TypeError, ValueError, KeyError):
        return None, None


def _guild_of(name: str, payload: Payload) -> int | None:
    """The server that an event is about."""
    guild = payload.get("guild_id") or (payload.get("id") if name.startswith("GUILD_") else None)
    return None if guild is None else int(guild)
