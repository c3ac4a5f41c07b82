"""Connections, and work in a transaction: again when the connection is lost, never when it may have been done.

Behind PgBouncer in transaction mode each transaction may meet another server, so nothing outlives one: no setting, no
lock of a session; and statements are kept prepared only where no such pooler is in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import asyncpg

from dspy_session.errors import StoreError
from dspy_session.stores.postgres.address import Address
from dspy_session.stores.postgres.explain import FAILURES, explained, is_lost, is_passing

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

Result = TypeVar("Result")

ANSWER_SECONDS = 30.0
"""How long a statement may take before its connection counts as lost."""
LONG_SECONDS = 3600.0
"""The same for what goes through whole tables."""
CONNECT_SECONDS = 10.0
STATEMENTS = 100
"""How many statements a connection keeps prepared; a commit then takes a quarter of the time (0.6 against 2.1 ms)."""
SHORTEST_PAUSE = 0.05
LONGEST_PAUSE = 1.0
STANDSTILL_SECONDS = 10.0
"""How long the server waits for a process that stands still within a transaction, for then nobody else gets what it has
locked, whatever its lease says. Shorter than a lease; a pooler in between has a setting of its own for it."""
CLOSE_SECONDS = 10.0
"""How long to wait on closing for work that has begun."""


class UnknownOutcomeError(Exception):
    """The connection was lost while the transaction was committed; whether it was, somebody has to look."""


class Transaction:
    """A transaction that runs. In its SQL, ``store`` stands for the schema."""

    def __init__(self, connection: PoolConnectionProxy[Any], schema: str, seconds: float) -> None:
        self._connection = connection
        self._prefix = f"{schema}."
        self._seconds = seconds

    async def rows(self, sql: str, *values: object) -> Sequence[asyncpg.Record]:
        """All rows of a statement."""
        return await self._connection.fetch(sql.replace("store.", self._prefix), *values, timeout=self._seconds)

    async def row(self, sql: str, *values: object) -> asyncpg.Record | None:
        """The first row of a statement."""
        return await self._connection.fetchrow(sql.replace("store.", self._prefix), *values, timeout=self._seconds)

    async def value(self, sql: str, *values: object) -> Any:
        """The first value of the first row; None when there is none."""
        return await self._connection.fetchval(sql.replace("store.", self._prefix), *values, timeout=self._seconds)

    async def script(self, sql: str) -> None:
        """Run several statements that take no values."""
        await self._connection.execute(sql.replace("store.", self._prefix), timeout=self._seconds)


class Database:
    """A pool of connections to one database.

    Args:
        address: The database.
        connections: How many at most.
        patience: Seconds to try again for while the database cannot be reached.
    """

    def __init__(self, address: Address, connections: int, patience: float) -> None:
        self.address = address
        self._connections = connections
        self._patience = patience
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self.is_pooled = False
        """True when a pooler is in between, so that a connection is another server's each time."""

    @property
    def is_open(self) -> bool:
        """True between ``open`` and ``aclose``."""
        return self._pool is not None

    async def open(self) -> None:
        """Connect, and make the pool.

        Raises:
            StoreError: The database cannot be reached.
        """
        try:
            first = await self.connect()
            try:
                # A pooler hands out numbers of its own, for whichever server it takes next.
                self.is_pooled = await first.fetchval("SELECT pg_backend_pid()") != first.get_server_pid()
            finally:
                first.terminate()
        except FAILURES as error:
            raise explained(self.address, error) from error
        # The default reset costs a round trip per use and undoes what nothing here does.
        self._pool = asyncpg.create_pool(
            self.address.dsn,
            min_size=0,
            max_size=self._connections,
            statement_cache_size=0 if self.is_pooled else STATEMENTS,
            command_timeout=ANSWER_SECONDS,
            timeout=CONNECT_SECONDS,
            init=None if self.is_pooled else _bound,
            reset=_leave,
        )
        await self._pool

    async def connect(self) -> asyncpg.Connection[asyncpg.Record]:
        """A connection of one's own, beside the pool."""
        return await asyncpg.connect(self.address.dsn, statement_cache_size=0, timeout=CONNECT_SECONDS)

    async def aclose(self) -> None:
        """Let go of all connections, once what was begun is done."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await pool.close()
        except FAILURES:
            pool.terminate()

    async def run(
        self,
        work: Callable[[Transaction], Awaitable[Result]],
        *,
        again: bool = True,
        seconds: float = ANSWER_SECONDS,
    ) -> Result:
        """Do work in a transaction.

        Args:
            work: What to do; it may be begun several times, and counts once.
            again: True when it does no harm to do it twice; else it is not repeated once its commit was sent.
            seconds: How long a statement of it may take.

        Raises:
            StoreBusyError: The database could not be reached for as long as our patience lasts.
            StoreError: It refuses the work.
            UnknownOutcomeError: ``again`` is False, and the connection was lost while the work was committed.
        """
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + self._patience, 0.0  # a connection that is lost can be had again at once
        while True:
            try:
                return await self._once(work, seconds)
            except UnknownOutcomeError as error:
                if not again:
                    raise
                cause = error.__cause__ or error
            except FAILURES as error:
                if not is_passing(error):
                    raise explained(self.address, error) from error
                cause = error
            if loop.time() + pause > deadline:
                raise explained(self.address, cause) from cause
            await asyncio.sleep(pause)
            pause = min(max(2 * pause, SHORTEST_PAUSE), LONGEST_PAUSE)

    async def _once(self, work: Callable[[Transaction], Awaitable[Result]], seconds: float) -> Result:
        if self._pool is None:
            raise StoreError(f"the store {self.address.name} is not open")
        committing = False
        try:
            async with self._pool.acquire(timeout=CONNECT_SECONDS) as connection, connection.transaction():
                result = await work(Transaction(connection, self.address.quoted_schema, seconds))
                committing = True
            return result
        except Exception as error:
            if committing and is_lost(error):
                raise UnknownOutcomeError from error
            raise


async def _bound(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Let the server end a connection whose process stands still."""
    await connection.execute(f"SET idle_in_transaction_session_timeout = {round(1000 * STANDSTILL_SECONDS)}")


async def _leave(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Leave a connection as it is when it goes back to the pool."""
