"""A store in one SQLite file: for one process on one machine."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path

from dspy_session.errors import StoreError
from dspy_session.stores.incoming import Arrival, PostedTurn, Posting, Work
from dspy_session.stores.leases import MemoryLeases
from dspy_session.stores.ledger import Adjustment, Charge, Refusal
from dspy_session.stores.outgoing import Batch, Delivery, LaneInfo, Settlement
from dspy_session.stores.protocol import Commit, ConversationInfo, Entry, Forget, Journal, Lease
from dspy_session.stores.sqlite import inbox, journals, ledger, outbox, schema, vault
from dspy_session.stores.sqlite.worker import Worker, explained
from dspy_session.stores.vault import Kept

PAGE = 500
"""Entries of a conversation that are read at once when all of them are wanted."""


class SqliteStore:
    """Conversations, and all that a bot needs to lose none of its messages, in a SQLite file.

    One thread writes, and takes whatever waits into one transaction; another reads. One process at a time serves the
    file; tools may look into it and change it meanwhile.

    Args:
        path: The file; made when it does not exist. ``":memory:"`` for none.
        clock: Seconds since 1970, UTC; for tests.
        monotonic: Seconds that only grow, for leases; for tests.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = Path(path)
        self._clock = clock
        self._monotonic = monotonic
        self._writer: Worker | None = None
        self._reader: Worker | None = None
        self._serving: sqlite3.Connection | None = None
        self._leases = MemoryLeases(monotonic)
        self._news: asyncio.Event | None = None

    def __repr__(self) -> str:
        return f"SqliteStore({str(self.path)!r})"

    # --- Store --------------------------------------------------------------------------------------------------------

    async def open(self, *, serving: bool = True) -> None:
        """Open the file and bring its tables up to this version.

        Raises:
            StoreError: The file cannot be written, is no database of ours, was written by a newer version, or serves
                another process.
        """
        if self._writer is not None:
            return
        path = str(self.path)
        in_memory = path == schema.MEMORY
        if serving and not in_memory:
            try:
                self._serving = schema.serve(path)
            except sqlite3.Error as error:
                raise explained(path, error) from error
        writer = Worker(path, lambda: schema.connect(path), writes=True)
        reader = writer if in_memory else Worker(path, lambda: schema.connect_reader(path), writes=False)
        try:
            await writer.start()
            if reader is not writer:
                await reader.start()
            if serving:
                await writer.do(schema.begin_serving)
        except BaseException:
            await reader.stop()
            await writer.stop()
            self._stop_serving()
            raise
        self._writer, self._reader, self._news = writer, reader, asyncio.Event()

    async def read(self, key: str, depth: int | None = None) -> Journal:
        """A conversation: its marks, what they lead to, and what is said of that."""
        return await self._read.do(lambda db: journals.read(db, key, depth))

    async def commit(self, commit: Commit) -> None:
        """Write a change, durably."""

        def work(db: sqlite3.Connection) -> None:
            if commit.lease is not None:
                self._leases.check(commit.lease)
            journals.commit(db, commit, self._clock())

        await self._write.do(work)
        if commit.forgets or commit.rewrites:
            with contextlib.suppress(sqlite3.Error):  # the change stands, and the next one folds the log
                await self._fold_log()

    async def entries(self, key: str) -> AsyncIterator[Entry]:
        """Every entry of a conversation, oldest first."""
        found = await self._read.do(lambda db: journals.page(db, key, -1, PAGE))
        while found:
            for _, entry in found:
                yield entry
            last = found[-1][0]
            found = await self._read.do(partial(journals.page, key=key, after=last, count=PAGE))

    async def list(self, prefix: str = "") -> Sequence[ConversationInfo]:
        """The conversations whose keys begin with ``prefix``, the newest first."""
        return await self._read.do(lambda db: journals.listed(db, prefix))

    async def forget(self, forget: Forget) -> int:
        """Delete for good."""

        def work(db: sqlite3.Connection) -> int:
            changed = journals.forget(db, forget, self._leases.held())
            if forget.key is not None:
                for delivery in forget.deliveries:
                    journals.enqueue(db, forget.key, delivery, self._clock())
            for key in changed:
                self._leases.revoke(key)
            return len(changed)

        changed = await self._write.do(work)
        await self._fold_log()
        return changed

    async def aclose(self) -> None:
        """Finish what was begun and let go of the file."""
        writer, reader = self._writer, self._reader
        self._writer = self._reader = None
        if reader is not None:
            await reader.stop()
        if writer is not None:
            await writer.stop()
        self._stop_serving()

    # --- Leases -------------------------------------------------------------------------------------------------------

    async def acquire(self, key: str, owner: str, seconds: float) -> Lease | None:
        """Take a conversation; None while somebody else in this process has it."""
        length = None
        if self._write.others_wrote:  # a tool, beside us: what is remembered of a conversation may be no more
            length = await self._read.do(lambda db: journals.length_of(db, key))
        return self._leases.acquire(key, owner, seconds, length)

    async def renew(self, leases: Sequence[Lease], seconds: float) -> Sequence[Lease]:
        """Keep leases; those that are still held."""
        return [lease for lease in leases if self._leases.renew(lease, seconds)]

    async def release(self, lease: Lease) -> None:
        """Give a conversation free."""
        self._leases.release(lease)
        self._tell()

    # --- Inbox --------------------------------------------------------------------------------------------------------

    async def receive(self, arrival: Arrival) -> bool:
        """Keep a message, durably; False when it was known already."""
        is_new = await self._write.do(lambda db: inbox.receive(db, arrival))
        if is_new:
            self._tell()
        return is_new

    async def knows(self, key: str, event_id: str) -> bool:
        """True when a message is answered, or done."""
        return await self._read.do(lambda db: inbox.knows(db, key, event_id))

    async def waiting(self, limit: int) -> Sequence[str]:
        """Conversations with work that nobody holds a lease on."""
        held = self._leases.held()
        return await self._read.do(lambda db: inbox.waiting(db, held, limit))

    async def take(self, lease: Lease) -> Work | None:
        """What is to be done next in a conversation."""

        def work(db: sqlite3.Connection) -> Work | None:
            self._leases.check(lease)
            return inbox.take(db, lease.key)

        return await self._write.do(work)

    async def pending(self, key: str) -> Sequence[Arrival]:
        """The messages of a conversation that are not answered yet."""
        return await self._read.do(lambda db: inbox.pending(db, key))

    async def posted(self, lease: Lease, posting: Posting) -> None:
        """The answer to a message is posted, or a part of it."""

        def work(db: sqlite3.Connection) -> None:
            self._leases.check(lease)
            inbox.posted(db, lease.key, posting, self._clock())

        await self._write.do(work)

    async def posted_as(self, scope: str, message_id: str) -> PostedTurn | None:
        """The turn whose answer was posted as that message."""
        return await self._read.do(lambda db: inbox.posted_as(db, scope, message_id))

    async def received_in(self, event_id: str) -> Sequence[str]:
        """The conversations that a message came to."""
        return await self._read.do(lambda db: inbox.received_in(db, event_id))

    async def changed(self, seconds: float) -> None:
        """Return when there may be new work, after ``seconds`` at the latest."""
        if self._news is None:
            raise StoreError(f"{self.path} is not open")
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return
        self._news.clear()

    # --- Outbox -------------------------------------------------------------------------------------------------------

    async def claim(self, sink: str, limit: int, seconds: float) -> Batch | None:
        """Take deliveries of the lane that has been due longest."""
        now = self._clock()
        return await self._write.do(lambda db: outbox.claim(db, sink, limit, now, now + seconds))

    async def settle(self, batch: Batch, settlement: Settlement) -> bool:
        """Do with a batch what was decided; False when somebody else has claimed the lane meanwhile."""
        return await self._write.do(lambda db: outbox.settle(db, batch, settlement, self._clock()))

    async def lanes(self, sink: str | None = None) -> Sequence[LaneInfo]:
        """The lanes in which something waits."""
        return await self._read.do(lambda db: outbox.lanes(db, sink))

    async def resume(self, sink: str, key: str | None = None) -> int:
        """Start parked lanes, or a disabled sink, again."""
        return await self._write.do(lambda db: outbox.resume(db, sink, key, self._clock()))

    async def enqueue(self, key: str, deliveries: Sequence[Delivery]) -> None:
        """Add deliveries to the end of a conversation's lanes."""

        def work(db: sqlite3.Connection) -> None:
            for delivery in deliveries:
                journals.enqueue(db, key, delivery, self._clock())

        await self._write.do(work)

    async def due(self, sink: str) -> float | None:
        """Seconds until ``claim`` may have something for a sink."""
        return await self._read.do(lambda db: outbox.due(db, sink, self._clock()))

    # --- Ledger -------------------------------------------------------------------------------------------------------

    async def charge(self, charges: Sequence[Charge], at: float) -> Refusal | None:
        """Count all charges, or none of them and say why."""
        return await self._write.do(lambda db: ledger.charge(db, charges, at))

    async def adjust(self, adjustments: Sequence[Adjustment], at: float) -> None:
        """Correct what was charged by what was used."""
        await self._write.do(lambda db: ledger.adjust(db, adjustments, at))

    # --- Vault --------------------------------------------------------------------------------------------------------

    async def put(self, kept: Kept) -> None:
        """Keep something, in the place of what had its name before."""
        await self._write.do(lambda db: vault.put(db, kept))

    async def get(self, name: str) -> Kept | None:
        """What has a name; None for nothing."""
        return await self._read.do(lambda db: vault.get(db, name))

    async def pull(self, name: str) -> Kept | None:
        """What has a name, and nobody finds it again."""
        return await self._write.do(lambda db: vault.pull(db, name))

    async def names(self, prefix: str = "") -> Sequence[str]:
        """The names that begin with ``prefix``, in order."""
        return await self._read.do(lambda db: vault.names(db, prefix))

    async def clear(self, before: float) -> int:
        """Delete what was to be kept until a time before this one; how much that was."""
        return await self._write.do(lambda db: vault.clear(db, before))

    # ------------------------------------------------------------------------------------------------------------------

    @property
    def _write(self) -> Worker:
        if self._writer is None:
            raise StoreError(f"{self.path} is not open")
        return self._writer

    @property
    def _read(self) -> Worker:
        if self._reader is None:
            raise StoreError(f"{self.path} is not open")
        return self._reader

    async def _fold_log(self) -> None:
        """Let nothing that was deleted stand in the file's log any more."""
        if str(self.path) != schema.MEMORY:
            await asyncio.to_thread(schema.fold_log, str(self.path))

    def _tell(self) -> None:
        if self._news is not None:
            self._news.set()

    def _stop_serving(self) -> None:
        if self._serving is not None:
            schema.stop_serving(self._serving, str(self.path))
            self._serving = None
