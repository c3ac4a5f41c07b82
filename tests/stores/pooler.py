"""A pooler in transaction mode, as PgBouncer is: each transaction gets the next server, whoever had it before.

It lets everybody in, connects as a role that needs no password, refuses what PgBouncer refuses at the start, and loses
a connection when it is told to.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import asyncpg

from tests.postgres import TRUSTED, Postgres

SSL = 80877103
KNOWN_AT_START = {"user", "database", "client_encoding", "application_name"}
Message = tuple[bytes, bytes]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Pooler:
    """Between clients and a server.

    Attributes:
        lose: When the next COMMIT comes, lose its connection before the server hears of it, or after it was done.
        keeps_losing: True to lose those of all that follow too.
        lost: How many connections were lost so far.
        prepared: The names of statements that clients prepared.
    """

    def __init__(self, server: Postgres) -> None:
        self._server = server
        self._idle: asyncio.Queue[Streams] = asyncio.Queue()
        self._all: list[asyncio.StreamWriter] = []
        self._greeting: list[Message] = []
        self.lose: Literal["", "before", "after"] = ""
        self.keeps_losing = False
        self.lost = 0
        self.prepared: set[str] = set()
        self.port = 0
        self._is_closed = False

    def url(self, schema: str) -> str:
        return f"postgresql://anybody@127.0.0.1:{self.port}/postgres?schema={schema}"

    async def add_server(self) -> None:
        """Connect to the server once more."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._server.port)
        self._all.append(writer)
        asked = struct.pack("!I", 196608) + b"user\0" + TRUSTED.encode() + b"\0database\0postgres\0\0"
        writer.write(struct.pack("!I", len(asked) + 4) + asked)
        said = []
        while (message := await read(reader))[0] != b"Z":
            said.append(message)
        self._greeting = [message for message in said if message[0] == b"S"]
        self._idle.put_nowait((reader, writer))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client."""
        self._all.append(writer)
        server, answering = None, None
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await self._greet(reader, writer)
            while (message := await read(reader))[0] != b"X":
                if answering is None or answering.done():
                    server = await self._idle.get()
                    answering = asyncio.create_task(self._answer(server, writer))
                if message[0] == b"P":
                    self.prepared.add(message[1].split(b"\0", 1)[0].decode())
                if message == (b"Q", b"COMMIT;\0") and self.lose:
                    how = self.lose
                    self.lose = how if self.keeps_losing else ""
                    await self._lose(answering, server, message if how == "after" else None)
                    break
                server[1].write(packed(message))
        writer.close()
        if answering is not None and not (answering.done() and not answering.cancelled()) and not self._is_closed:
            answering.cancel()
            server[1].close()  # what it had begun is undone
            with contextlib.suppress(asyncio.IncompleteReadError):  # it is all over
                await self.add_server()

    async def _lose(self, answering: asyncio.Task[None], server: Streams, message: Message | None) -> None:
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)
        if message is not None:
            server[1].write(packed(message))
            while (await read(server[0]))[0] != b"Z":
                pass
        self.lost += 1

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            (length,) = struct.unpack("!I", await reader.readexactly(4))
            asked = await reader.readexactly(length - 4)
            if asked[:4] != struct.pack("!I", SSL):
                break
            writer.write(b"N")
        words = asked[4:].decode().split("\0")
        assert set(words[:-2:2]) <= KNOWN_AT_START, words
        greeting = [(b"R", bytes(4)), *self._greeting, (b"K", struct.pack("!II", 7, 7)), (b"Z", b"I")]
        writer.write(b"".join(map(packed, greeting)))

    async def _answer(self, server: Streams, writer: asyncio.StreamWriter) -> None:
        while True:
            message = await read(server[0])
            if message == (b"Z", b"I"):
                self._idle.put_nowait(server)
            writer.write(packed(message))
            if message == (b"Z", b"I"):
                return

    def close(self) -> None:
        self._is_closed = True
        for writer in self._all:
            writer.close()


async def read(reader: asyncio.StreamReader) -> Message:
    kind = await reader.readexactly(1)
    (length,) = struct.unpack("!I", await reader.readexactly(4))
    return kind, await reader.readexactly(length - 4)


def packed(message: Message) -> bytes:
    return message[0] + struct.pack("!I", len(message[1]) + 4) + message[1]


@asynccontextmanager
async def pooled(server: Postgres, servers: int = 3) -> AsyncIterator[Pooler]:
    """A pooler before a server, for the time of a block."""
    db = await asyncpg.connect(server.url())
    if not await db.fetchval("SELECT to_regrole($1) IS NOT NULL", TRUSTED):
        await db.execute(f"CREATE ROLE {TRUSTED} SUPERUSER LOGIN")
    await db.close()
    pooler = Pooler(server)
    for _ in range(servers):
        await pooler.add_server()
    listening = await asyncio.start_server(pooler.serve, "127.0.0.1", 0)
    pooler.port = listening.sockets[0].getsockname()[1]
    try:
        yield pooler
    finally:
        listening.close()
        pooler.close()
        await asyncio.sleep(0)
