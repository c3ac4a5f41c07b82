"""A store in PostgreSQL: for several processes on several machines."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from functools import partial

from dspy_session.errors import StaleJournalError, StoreBusyError, StoreError
from dspy_session.stores.incoming import Arrival, PostedTurn, Posting, Work
from dspy_session.stores.ledger import Adjustment, Charge, Refusal
from dspy_session.stores.outgoing import Batch, Delivery, LaneInfo, Settlement
from dspy_session.stores.postgres import forgetting, inbox, journals, leasing, ledger, outbox, schema, vault
from dspy_session.stores.postgres.address import address
from dspy_session.stores.postgres.database import LONG_SECONDS, Database, UnknownOutcomeError
from dspy_session.stores.postgres.news import News
from dspy_session.stores.protocol import Commit, ConversationInfo, Entry, Forget, Journal, Lease
from dspy_session.stores.vault import Kept

ATTEMPTS = 5
"""How often a commit is sent when its connection is lost each time."""
PAGE = 500
"""Entries of a conversation that are read at once when all of them are wanted."""


class PostgresStore:
    """Conversations, and all that a bot needs to lose none of its messages, in a PostgreSQL database.

    Any number of processes may serve it at once; who works on a conversation holds a lease, by the database's clock.
    While the database cannot be reached, each verb tries again for a while. Works behind PgBouncer in transaction mode
    too; there ``changed`` hears of what this process received, and else returns after its time.

    Args:
        url: ``postgresql://user:password@host:5432/database``; the tables are in the schema ``dspy_session``, or in
            another one with ``?schema=name``.
        connections: How many connections to the database at most; one more listens for news.
        patience: Seconds to try again for while the database cannot be reached.

    Raises:
        ConfigurationError: The URL cannot be read.
    """

    def __init__(self, url: str, *, connections: int = 10, patience: float = 10.0) -> None:
        self._address = address(url)
        self._database = Database(self._address, connections, patience)
        self._news: News | None = None

    def __repr__(self) -> str:
        return f"PostgresStore({self._address.name!r})"

    # --- Store --------------------------------------------------------------------------------------------------------

    async def open(self, *, serving: bool = True) -> None:
        """Connect and bring the tables up to this version.

        Raises:
            StoreError: The database cannot be reached or used, or its tables are those of a newer version.
        """
        if self._database.is_open:
            return
        await self._database.open()
        try:
            steps = schema.migrations()
            await self._database.run(lambda db: schema.bring_up(db, self._address, steps), seconds=LONG_SECONDS)
        except BaseException:
            await self._database.aclose()
            raise
        self._news = News(self._database, self._address.schema)

    async def read(self, key: str, depth: int | None = None) -> Journal:
        """A conversation: its marks, what they lead to, and what is said of that."""
        return await self._database.run(lambda db: journals.read(db, key, depth))

    async def commit(self, commit: Commit) -> None:
        """Write a change, durably. When the connection is lost meanwhile, what became of it is looked up."""
        try:
            return await self._database.run(lambda db: journals.commit(db, commit), again=False)
        except UnknownOutcomeError:
            pass
        try:
            return await self._find_or_write(commit)
        except StoreBusyError as error:
            raise StoreError(
                f"{self._address.name}: the connection was lost while a change of {commit.key!r} was written, and "
                "could not be had again to see whether it was: see that the server runs"
            ) from error

    async def entries(self, key: str) -> AsyncIterator[Entry]:
        """Every entry of a conversation, oldest first."""
        start = 0
        while found := await self._database.run(partial(journals.page, key=key, start=start, count=PAGE)):
            for entry in found:
                yield entry
            start += len(found)

    async def list(self, prefix: str = "") -> Sequence[ConversationInfo]:
        """The conversations whose keys begin with ``prefix``, the newest first."""
        return await self._database.run(lambda db: journals.listed(db, prefix))

    async def forget(self, forget: Forget) -> int:
        """Delete for good."""
        return await self._database.run(lambda db: forgetting.forget(db, forget), seconds=LONG_SECONDS)

    async def aclose(self) -> None:
        """Finish what was begun and let go of all connections."""
        if self._news is not None:
            await self._news.aclose()
        await self._database.aclose()

    # --- Leases -------------------------------------------------------------------------------------------------------

    async def acquire(self, key: str, owner: str, seconds: float) -> Lease | None:
        """Take a conversation; None while somebody has it."""
        tried: list[int] = []
        return await self._database.run(lambda db: leasing.acquire(db, key, owner, seconds, tried))

    async def renew(self, leases: Sequence[Lease], seconds: float) -> Sequence[Lease]:
        """Keep leases; those that are still held."""
        return await self._database.run(lambda db: leasing.renew(db, leases, seconds))

    async def release(self, lease: Lease) -> None:
        """Give a conversation free."""
        await self._database.run(lambda db: leasing.release(db, lease, self._address.schema))
        self._tell()

    # --- Inbox --------------------------------------------------------------------------------------------------------

    async def receive(self, arrival: Arrival) -> bool:
        """Keep a message, durably; False when it was known already."""
        is_new = await self._database.run(lambda db: inbox.receive(db, arrival, self._address.schema))
        if is_new:
            self._tell()
        return is_new

    async def knows(self, key: str, event_id: str) -> bool:
        """True when a message is answered, or done: it must not run again."""
        return await self._database.run(lambda db: inbox.knows(db, key, event_id))

    async def waiting(self, limit: int) -> Sequence[str]:
        """Conversations with work that nobody holds a lease on."""
        return await self._database.run(lambda db: inbox.waiting(db, limit))

    async def take(self, lease: Lease) -> Work | None:
        """What is to be done next in a conversation."""
        return await self._database.run(lambda db: inbox.take(db, lease))

    async def pending(self, key: str) -> Sequence[Arrival]:
        """The messages of a conversation that are not answered yet."""
        return await self._database.run(lambda db: inbox.pending(db, key))

    async def posted(self, lease: Lease, posting: Posting) -> None:
        """The answer to a message is posted, or a part of it."""
        await self._database.run(lambda db: inbox.posted(db, lease, posting))

    async def posted_as(self, scope: str, message_id: str) -> PostedTurn | None:
        """The turn whose answer was posted as that message."""
        return await self._database.run(lambda db: inbox.posted_as(db, scope, message_id))

    async def received_in(self, event_id: str) -> Sequence[str]:
        """The conversations that a message came to."""
        return await self._database.run(lambda db: inbox.received_in(db, event_id))

    async def changed(self, seconds: float) -> None:
        """Return when there may be new work, after ``seconds`` at the latest."""
        if self._news is None or not self._database.is_open:
            raise StoreError(f"the store {self._address.name} is not open")
        await self._news.wait(seconds)

    # --- Outbox -------------------------------------------------------------------------------------------------------

    async def claim(self, sink: str, limit: int, seconds: float) -> Batch | None:
        """Take deliveries of the lane that has been due longest."""
        return await self._database.run(lambda db: outbox.claim(db, sink, limit, seconds))

    async def settle(self, batch: Batch, settlement: Settlement) -> bool:
        """Do with a batch what was decided; False when somebody else has claimed the lane meanwhile."""
        return await self._database.run(lambda db: outbox.settle(db, batch, settlement))

    async def lanes(self, sink: str | None = None) -> Sequence[LaneInfo]:
        """The lanes in which something waits."""
        return await self._database.run(lambda db: outbox.lanes(db, sink))

    async def resume(self, sink: str, key: str | None = None) -> int:
        """Start parked lanes, or a disabled sink, again."""
        return await self._database.run(lambda db: outbox.resume(db, sink, key))

    async def enqueue(self, key: str, deliveries: Sequence[Delivery]) -> None:
        """Add deliveries to the end of a conversation's lanes."""
        await self._database.run(lambda db: outbox.enqueue(db, key, deliveries))

    async def due(self, sink: str) -> float | None:
        """Seconds until ``claim`` may have something for a sink."""
        return await self._database.run(lambda db: outbox.due(db, sink))

    # --- Ledger -------------------------------------------------------------------------------------------------------

    async def charge(self, charges: Sequence[Charge], at: float) -> Refusal | None:
        """Count all charges, or none of them and say why."""
        return await self._database.run(lambda db: ledger.charge(db, charges, at))

    async def adjust(self, adjustments: Sequence[Adjustment], at: float) -> None:
        """Correct what was charged by what was used; not twice, so that a lost connection may leave it as it was."""
        with contextlib.suppress(UnknownOutcomeError):
            await self._database.run(lambda db: ledger.adjust(db, adjustments, at), again=False)

    # --- Vault --------------------------------------------------------------------------------------------------------

    async def put(self, kept: Kept) -> None:
        """Keep something, in the place of what had its name before."""
        await self._database.run(lambda db: vault.put(db, kept))

    async def get(self, name: str) -> Kept | None:
        """What has a name; None for nothing."""
        return await self._database.run(lambda db: vault.get(db, name))

    async def pull(self, name: str) -> Kept | None:
        """What has a name, and nobody finds it again; nobody at all if the connection is lost at that moment."""
        return await self._database.run(lambda db: vault.pull(db, name))

    async def names(self, prefix: str = "") -> Sequence[str]:
        """The names that begin with ``prefix``, in order."""
        return await self._database.run(lambda db: vault.names(db, prefix))

    async def clear(self, before: float) -> int:
        """Delete what was to be kept until a time before this one; how much that was."""
        return await self._database.run(lambda db: vault.clear(db, before))

    # ------------------------------------------------------------------------------------------------------------------

    async def _find_or_write(self, commit: Commit) -> None:
        for _ in range(ATTEMPTS):
            try:
                return await self._database.run(lambda db: journals.commit(db, commit), again=False)
            except UnknownOutcomeError:
                continue
            except StaleJournalError:
                if await self._database.run(lambda db: journals.stands(db, commit)):
                    return None
                raise
        raise StoreBusyError

    def _tell(self) -> None:
        if self._news is not None:
            self._news.tell()
