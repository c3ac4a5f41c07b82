"""The websocket side of the fake Slack: tickets, envelopes, acknowledgements and redelivery."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from aiohttp import WSMsgType, web

from tests.loopback.slack.workspace import APP_ID

RETRIES = 3
"""How often Slack tries again when an envelope is not acknowledged."""


@dataclass(frozen=True)
class Ack:
    """An acknowledgement as it came in.

    Args:
        envelope_id: The envelope that is acknowledged.
        payload: What came with it, if anything.
    """

    envelope_id: str
    payload: dict[str, Any] | None


@dataclass(eq=False)
class Delivery:
    """One event on its way to the app.

    Args:
        body: The Events API body, or the payload of an interaction.
        kind: What the envelope says it is; an interaction comes once, whatever becomes of it.
        envelope_ids: One envelope for each try so far.
        acked: Set once any of them was acknowledged.
    """

    body: dict[str, Any]
    kind: str = "events_api"
    envelope_ids: list[str] = field(default_factory=list)
    acked: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def event(self) -> dict[str, Any]:
        event: dict[str, Any] = self.body["event"]
        return event


@dataclass(eq=False)
class Connection:
    """One websocket of the app."""

    socket: web.WebSocketResponse
    request: web.Request
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, message: dict[str, Any]) -> None:
        await self.socket.send_str(json.dumps(message))

    def cut(self) -> None:
        """Break the connection without a word."""
        if self.request.transport is not None:
            self.request.transport.abort()


Carry = Callable[[Delivery, str, int, str], Awaitable[tuple[str, Ack | None]]]
"""Brings something to the app in another way than over a socket: once, under an envelope's id, with the number of the
try and the reason for it. Why it did not arrive, or the app's acknowledgement."""


class SocketMode:
    """Hands events to whichever socket is open, and again when they are not acknowledged in time.

    Args:
        ack_timeout: Seconds that the app has for an acknowledgement; Slack gives 3.

    Attributes:
        pauses: Seconds before each of the retries.
        may_retry: Set while there are retries at all.
        closing: Why each of the next connections is closed as soon as it is open.
    """

    def __init__(self, ack_timeout: float) -> None:
        self.ack_timeout = ack_timeout
        self.carried: Carry | None = None
        self.pauses = (0.0,) * RETRIES
        self.may_retry = asyncio.Event()
        self.may_retry.set()
        self._impatient = asyncio.Event()
        self.closing: list[str] = []
        self.connections: list[Connection] = []
        self.acks: list[Ack] = []
        self.deliveries: list[Delivery] = []
        self.changed = asyncio.Condition()
        self._numbers = count(1)
        self._tickets: set[str] = set()
        self._under_way: dict[str, Delivery] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def ticket(self) -> str:
        """A new ticket, good for one connection."""
        ticket = f"ticket-{next(self._numbers)}"
        self._tickets.add(ticket)
        return ticket

    def spend(self, ticket: str) -> bool:
        """Use a ticket up; False when it was already."""
        if ticket not in self._tickets:
            return False
        self._tickets.remove(ticket)
        return True

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer ``/link/?ticket=…``: a websocket for as long as the app stays."""
        if not self.spend(request.query.get("ticket", "")):
            return web.Response(status=403, text="this ticket is used up")
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        connection = Connection(socket, request)
        if self.closing:
            await connection.send({"type": "disconnect", "reason": self.closing.pop()})
            await self._notify()
            async for _ in socket:  # until whoever opened it closes it
                pass
            return socket
        hello = {"type": "hello", "num_connections": len(self.connections) + 1, "connection_info": {"app_id": APP_ID}}
        await connection.send(hello)
        await self._open(connection)
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await self._acknowledge(json.loads(message.data))
        finally:
            connection.closed.set()
            await self._leave(connection)
        return socket

    def deliver(self, body: dict[str, Any], kind: str = "events_api") -> Delivery:
        """Start to hand ``body`` to the app."""
        delivery = Delivery(body, kind)
        self.deliveries.append(delivery)
        self._start(delivery)
        return delivery

    def redeliver(self, delivery: Delivery) -> None:
        """Hand an event over once more, as Slack does when an acknowledgement got lost."""
        delivery.acked.clear()
        self._start(delivery)

    def lose_patience(self) -> None:
        """Wait no longer for the acknowledgements that are due: what they are for is sent again."""
        self._impatient.set()
        self._impatient = asyncio.Event()

    async def disconnect(self, reason: str, connections: Sequence[Connection] | None = None) -> None:
        """Ask the app to open a new connection, and send nothing more over the old ones."""
        for connection in list(self.connections if connections is None else connections):
            await self._leave(connection)
            await connection.send({"type": "disconnect", "reason": reason, "debug_info": {"host": "loopback"}})

    async def settled(self) -> None:
        """Wait until every event was acknowledged or given up."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    async def aclose(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in list(self.connections):
            await connection.socket.close()

    def _start(self, delivery: Delivery) -> None:
        task = asyncio.create_task(self._deliver(delivery))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, delivery: Delivery) -> None:
        first = len(delivery.envelope_ids)
        reason = ""
        retries = RETRIES if delivery.kind == "events_api" else 0
        while len(delivery.envelope_ids) - first <= retries:
            if reason:
                await self.may_retry.wait()
                await asyncio.sleep(self.pauses[len(delivery.envelope_ids) - first - 1])
            if self.carried is not None:
                reason = await self._carry(self.carried, delivery, reason)
                if not reason:
                    return
                continue
            connection = await self._connection()
            envelope_id = f"envelope-{next(self._numbers)}"
            self._under_way[envelope_id] = delivery
            attempt = len(delivery.envelope_ids)
            delivery.envelope_ids.append(envelope_id)
            await self._notify()
            try:
                await connection.send(
                    {
                        "envelope_id": envelope_id,
                        "type": delivery.kind,
                        "payload": delivery.body,
                        "accepts_response_payload": delivery.kind != "events_api",
                        "retry_attempt": attempt,
                        "retry_reason": reason,
                    }
                )
            except ConnectionError:
                reason = "connection_failed"
                continue
            if await self._in_time(delivery, connection):
                return
            reason = "timeout"

    async def _carry(self, carry: Carry, delivery: Delivery, reason: str) -> str:
        envelope_id, attempt = f"envelope-{next(self._numbers)}", len(delivery.envelope_ids)
        delivery.envelope_ids.append(envelope_id)
        await self._notify()
        failed, ack = await carry(delivery, envelope_id, attempt, reason)
        if ack is not None:
            self.acks.append(ack)
            delivery.acked.set()
        await self._notify()
        return failed

    async def _in_time(self, delivery: Delivery, connection: Connection) -> bool:
        waits = {asyncio.create_task(event.wait()) for event in (delivery.acked, connection.closed, self._impatient)}
        try:
            await asyncio.wait(waits, timeout=self.ack_timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return delivery.acked.is_set()

    async def _connection(self) -> Connection:
        async with self.changed:
            await self.changed.wait_for(lambda: self.connections)
            return self.connections[next(self._numbers) % len(self.connections)]

    async def _acknowledge(self, message: dict[str, Any]) -> None:
        ack = Ack(message["envelope_id"], message.get("payload"))
        self.acks.append(ack)
        if ack.envelope_id in self._under_way:
            self._under_way[ack.envelope_id].acked.set()
        await self._notify()

    async def _open(self, connection: Connection) -> None:
        self.connections.append(connection)
        await self._notify()

    async def _leave(self, connection: Connection) -> None:
        if connection in self.connections:
            self.connections.remove(connection)
        await self._notify()

    async def _notify(self) -> None:
        async with self.changed:
            self.changed.notify_all()
