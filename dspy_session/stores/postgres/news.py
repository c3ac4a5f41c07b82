"""Hints that there may be work: PostgreSQL's NOTIFY where it can be heard, and a time after which to look anyway."""

from __future__ import annotations

import asyncio
import contextlib

import asyncpg

from dspy_session.stores.postgres.database import Database
from dspy_session.stores.postgres.explain import FAILURES

CHANNEL = "dspy_session"


class News:
    """Listens on a connection of its own, which it makes when somebody waits and makes anew when it is lost.

    Args:
        database: Where to listen. Behind a pooler nobody is there to listen: only what this process tells is heard.
        topic: What is told on the channel when it is meant for us.
    """

    def __init__(self, database: Database, topic: str) -> None:
        self._database = database
        self._topic = topic
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._connecting = asyncio.Lock()
        self._event = asyncio.Event()

    def tell(self) -> None:
        """There may be work."""
        self._event.set()

    async def wait(self, seconds: float) -> None:
        """Return when there may be work, after ``seconds`` at the latest."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._listen()
                await self._event.wait()
        self._event.clear()

    async def aclose(self) -> None:
        """Listen no more."""
        connection, self._connection = self._connection, None
        if connection is not None and not connection.is_closed():
            connection.terminate()

    async def _listen(self) -> None:
        """Listen, unless we do. When it does not work, whoever asks for work next says why."""
        async with self._connecting:
            if self._database.is_pooled or (self._connection is not None and not self._connection.is_closed()):
                return
            with contextlib.suppress(*FAILURES):
                connection = await self._database.connect()
                try:
                    connection.add_termination_listener(self._lost)
                    await connection.add_listener(CHANNEL, self._heard)
                except BaseException:
                    connection.terminate()
                    raise
                self._connection = connection
                self._event.set()  # what was told before we listened was not heard

    def _heard(self, connection: object, pid: int, channel: str, payload: object) -> None:
        if payload == self._topic:
            self._event.set()

    def _lost(self, connection: object) -> None:
        self._event.set()
