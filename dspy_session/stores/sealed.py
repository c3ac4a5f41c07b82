"""Encryption at rest: a store around any other one, which never sees what people said."""

from __future__ import annotations

import asyncio
import importlib
import os
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from dspy_session.errors import ConfigurationError, StoreError
from dspy_session.stores.incoming import Arrival, Inbox, PostedTurn, Posting, Posts, Work
from dspy_session.stores.ledger import Adjustment, Charge, Ledger, Refusal
from dspy_session.stores.marking import MARK, mark
from dspy_session.stores.outgoing import Batch, Delivery, LaneInfo, Outbox, Settlement
from dspy_session.stores.protocol import Commit, ConversationInfo, Entry, Forget, Journal, Lease, Leases, Store
from dspy_session.stores.sealing import Random, Sealer, SealingKey, key_id_of, parse_keys
from dspy_session.stores.vault import Kept, Vault

UNREADABLE_DELAY = 300.0
"""Seconds until a lane whose deliveries cannot be opened is tried again; the others go on meanwhile."""


IN_PLACE = 200
"""Entries that are opened at once; more are opened in a thread, so that others go on. One takes 20 µs (2 cores)."""
NEEDED = (Leases, Inbox, Posts, Outbox, Ledger, Vault)
VAULT = ""
"""Stands for a conversation's key where something is part of none."""
FORGOTTEN = ("forgotten", "{}")
"""Kind and body of an entry that the store beneath has blanked: the only ones that may be readable."""


class BotStore(Store, Leases, Inbox, Posts, Outbox, Ledger, Vault, Protocol):
    """A store with all that a bot needs."""


class SealedStore:
    """Keeps everything that people and agents said encrypted in another store.

    Encrypted are what entries hold, messages that came in, answers that wait to be posted, deliveries, and what is in
    the vault. Each opens
    only in the place where it was written: rows that were changed, swapped or moved raise ``StoreError``, and so does
    any that is not encrypted. Readable stay conversations' keys, ids of authors, events and deliveries, sinks' names,
    kinds of entries, times, numbers, lengths and what limits count: the store finds, orders and forgets by them.

    Not noticed is that whole rows are missing or blanked, that entries are chained in another way, or that an old copy
    of the store was put in the place of a newer one.

    To change the key put a new one in front. What is written from then on is sealed with it; journals are only ever
    added to, so old keys are kept for as long as anything that they sealed: ``key_ids`` counts that, and retention
    (``forget`` with ``before``) makes it less. Whoever has no key any more has lost the conversations. A store that
    has conversations already takes no keys.

    Args:
        store: Where it is kept; used by nobody else.
        keys: Master keys, or what ``SealingKey.reveal`` spells (``"id:base64"``). The first one seals, all of them
            open.
        random: Where nonces come from.

    Raises:
        ConfigurationError: The extra ``crypto`` is not installed, a key is malformed, or ``store`` lacks leases, inbox,
            posts, outbox, ledger or vault.
    """

    def __init__(
        self,
        store: BotStore,
        keys: SealingKey | str | Sequence[SealingKey | str],
        *,
        random: Random = os.urandom,
    ) -> None:
        try:
            importlib.import_module("cryptography.hazmat.primitives.ciphers.aead")
        except ModuleNotFoundError:
            raise ConfigurationError(
                "encryption needs the package cryptography: pip install 'dspy-session-kit[crypto]'"
            ) from None
        self._keys = parse_keys(keys)
        self._store = store
        self._random = random
        lacking = [verbs.__name__ for verbs in NEEDED if not isinstance(store, verbs)]
        if lacking:
            raise ConfigurationError(f"{type(store).__name__} cannot be encrypted: it has no {', '.join(lacking)}")

    def __repr__(self) -> str:
        return f"SealedStore({self._store!r})"

    def _sealer(self, key: str) -> Sealer:
        return Sealer(self._keys, key, self._random)

    # --- journals -------------------------------------------------------------------------------------------------

    async def open(self, *, serving: bool = True) -> None:
        """Open the store beneath, and mark it as encrypted.

        Raises:
            ConfigurationError: It has conversations that are not.
        """
        await self._store.open(serving=serving)
        if serving:
            try:
                await mark(self._store, self._store)
            except BaseException:
                await self._store.aclose()
                raise

    async def read(self, key: str, depth: int | None = None) -> Journal:
        """A conversation as the store beneath has it, opened.

        Raises:
            StoreError: Something in it does not open.
        """
        journal = await self._store.read(key, depth)
        sealer = self._sealer(key)
        if len(journal.entries) <= IN_PLACE:
            return replace(journal, entries=_opened_entries(sealer, journal.entries))
        return replace(journal, entries=await asyncio.to_thread(_opened_entries, sealer, journal.entries))

    async def commit(self, commit: Commit) -> None:
        """Write a change, sealed."""
        sealer, settled = self._sealer(commit.key), commit.settled
        if settled is not None and settled.reply:
            reply = sealer.seal(settled.reply, sealer.place("reply", settled.event_id))
            settled = replace(settled, reply=reply)
        await self._store.commit(
            replace(
                commit,
                entries=[
                    _sealed_entry(sealer, number, entry) for number, entry in enumerate(commit.entries, commit.expected)
                ],
                settled=settled,
                deliveries=_sealed_deliveries(sealer, commit.deliveries),
                rewrites={number: _sealed_entry(sealer, number, entry) for number, entry in commit.rewrites.items()},
            )
        )

    async def entries(self, key: str) -> AsyncIterator[Entry]:
        """Every entry of a conversation, opened, oldest first.

        Raises:
            StoreError: One of them does not open.
        """
        sealer, number = self._sealer(key), 0
        rows = self._store.entries(key)
        try:
            async for entry in rows:
                yield _opened_entry(sealer, number, entry)
                number += 1
        finally:
            if isinstance(rows, AsyncGenerator):
                await rows.aclose()

    async def list(self, prefix: str = "") -> Sequence[ConversationInfo]:
        """As the store beneath."""
        return await self._store.list(prefix)

    async def forget(self, forget: Forget) -> int:
        """As the store beneath."""
        if forget.key is not None and forget.deliveries:
            forget = replace(forget, deliveries=_sealed_deliveries(self._sealer(forget.key), forget.deliveries))
        return await self._store.forget(forget)

    async def aclose(self) -> None:
        """Close the store beneath."""
        await self._store.aclose()

    async def key_ids(self, prefix: str = "") -> Mapping[str, int]:
        """How many entries each key has sealed, in conversations whose keys begin with ``prefix``: reads them all.

        A key that is not among them may still be needed for as long as messages or deliveries from its time wait.
        """
        counted: Counter[str] = Counter()
        for info in await self._store.list(prefix):
            async for entry in self._store.entries(info.key):
                key_id = key_id_of(entry.body)
                if key_id is not None:  # what was forgotten is sealed with none
                    counted[key_id] += 1
        return dict(counted)

    # --- leases ---------------------------------------------------------------------------------------------------

    async def acquire(self, key: str, owner: str, seconds: float) -> Lease | None:
        """As the store beneath."""
        return await self._store.acquire(key, owner, seconds)

    async def renew(self, leases: Sequence[Lease], seconds: float) -> Sequence[Lease]:
        """As the store beneath."""
        return await self._store.renew(leases, seconds)

    async def release(self, lease: Lease) -> None:
        """As the store beneath."""
        await self._store.release(lease)

    # --- inbox ----------------------------------------------------------------------------------------------------

    async def receive(self, arrival: Arrival) -> bool:
        """Keep a message, sealed."""
        sealer = self._sealer(arrival.key)
        payload = sealer.seal(arrival.payload, sealer.place("message", arrival.event_id))
        return await self._store.receive(replace(arrival, payload=payload))

    async def knows(self, key: str, event_id: str) -> bool:
        """As the store beneath."""
        return await self._store.knows(key, event_id)

    async def waiting(self, limit: int) -> Sequence[str]:
        """As the store beneath."""
        return await self._store.waiting(limit)

    async def take(self, lease: Lease) -> Work | None:
        """What is to be done next, opened.

        Raises:
            StoreError: The message or its answer does not open.
        """
        work = await self._store.take(lease)
        if work is None:
            return None
        sealer, arrival = self._sealer(work.arrival.key), work.arrival
        reply = work.reply and sealer.open(work.reply, sealer.place("reply", arrival.event_id))
        payload = arrival.payload
        if payload or not reply:  # a message that was answered without having come through the inbox has none
            payload = sealer.open(payload, sealer.place("message", arrival.event_id))
        return replace(work, arrival=replace(arrival, payload=payload), reply=reply)

    async def pending(self, key: str) -> Sequence[Arrival]:
        """The messages of a conversation that are not answered yet, opened.

        Raises:
            StoreError: One of them does not open.
        """
        sealer = self._sealer(key)
        return [
            replace(arrival, payload=sealer.open(arrival.payload, sealer.place("message", arrival.event_id)))
            for arrival in await self._store.pending(key)
        ]

    async def posted(self, lease: Lease, posting: Posting) -> None:
        """As the store beneath."""
        await self._store.posted(lease, posting)

    async def posted_as(self, scope: str, message_id: str) -> PostedTurn | None:
        """As the store beneath."""
        return await self._store.posted_as(scope, message_id)

    async def received_in(self, event_id: str) -> Sequence[str]:
        """As the store beneath."""
        return await self._store.received_in(event_id)

    async def changed(self, seconds: float) -> None:
        """As the store beneath."""
        await self._store.changed(seconds)

    # --- outbox ---------------------------------------------------------------------------------------------------

    async def claim(self, sink: str, limit: int, seconds: float) -> Batch | None:
        """Deliveries to be made, opened.

        Raises:
            StoreError: One of them does not open. The lane is put off, so that the next claim gets another one.
        """
        batch = await self._store.claim(sink, limit, seconds)
        if batch is None:
            return None
        sealer = self._sealer(batch.key)
        try:
            return replace(batch, deliveries=[_opened_delivery(sealer, item) for item in batch.deliveries])
        except StoreError as error:
            await self._store.settle(batch, Settlement("retry", delay=UNREADABLE_DELAY, reason=str(error)))
            raise

    async def settle(self, batch: Batch, settlement: Settlement) -> bool:
        """Do with a batch what was decided."""
        # Sealed again: a store that keeps what it is handed must not be handed what people said.
        deliveries = _sealed_deliveries(self._sealer(batch.key), batch.deliveries)
        return await self._store.settle(replace(batch, deliveries=deliveries), settlement)

    async def lanes(self, sink: str | None = None) -> Sequence[LaneInfo]:
        """As the store beneath."""
        return await self._store.lanes(sink)

    async def resume(self, sink: str, key: str | None = None) -> int:
        """As the store beneath."""
        return await self._store.resume(sink, key)

    async def enqueue(self, key: str, deliveries: Sequence[Delivery]) -> None:
        """Add deliveries, sealed."""
        await self._store.enqueue(key, _sealed_deliveries(self._sealer(key), deliveries))

    async def due(self, sink: str) -> float | None:
        """As the store beneath."""
        return await self._store.due(sink)

    # --- ledger ---------------------------------------------------------------------------------------------------

    async def charge(self, charges: Sequence[Charge], at: float) -> Refusal | None:
        """As the store beneath."""
        return await self._store.charge(charges, at)

    async def adjust(self, adjustments: Sequence[Adjustment], at: float) -> None:
        """As the store beneath."""
        await self._store.adjust(adjustments, at)

    # --- vault ----------------------------------------------------------------------------------------------------

    async def put(self, kept: Kept) -> None:
        """Keep something, sealed."""
        sealer = self._sealer(VAULT)
        await self._store.put(replace(kept, value=sealer.seal(kept.value, sealer.place("secret", kept.name))))

    async def get(self, name: str) -> Kept | None:
        """What has a name, opened.

        Raises:
            StoreError: It does not open.
        """
        return None if name == MARK else self._opened(await self._store.get(name))

    async def pull(self, name: str) -> Kept | None:
        """What has a name, opened, and nobody finds it again.

        Raises:
            StoreError: It does not open.
        """
        return None if name == MARK else self._opened(await self._store.pull(name))

    async def names(self, prefix: str = "") -> Sequence[str]:
        """As the store beneath, without the mark."""
        return [name for name in await self._store.names(prefix) if name != MARK]

    async def clear(self, before: float) -> int:
        """As the store beneath."""
        return await self._store.clear(before)

    def _opened(self, kept: Kept | None) -> Kept | None:
        if kept is None:
            return None
        sealer = self._sealer(VAULT)
        return replace(kept, value=sealer.open(kept.value, sealer.place("secret", kept.name)))


def _sealed_entry(sealer: Sealer, number: int, entry: Entry) -> Entry:
    return replace(entry, body=sealer.seal(entry.body, sealer.place("entry", str(number), entry.kind)))


def _opened_entry(sealer: Sealer, number: int, entry: Entry) -> Entry:
    if (entry.kind, entry.body) == FORGOTTEN:
        return entry
    return replace(entry, body=sealer.open(entry.body, sealer.place("entry", str(number), entry.kind)))


def _opened_entries(sealer: Sealer, entries: Mapping[int, Entry]) -> Mapping[int, Entry]:
    return {number: _opened_entry(sealer, number, entry) for number, entry in entries.items()}


def _sealed_deliveries(sealer: Sealer, deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
    places = [sealer.place("delivery", item.id, item.sink) for item in deliveries]
    return [
        replace(item, body=sealer.seal_bytes(item.body, place)) for item, place in zip(deliveries, places, strict=True)
    ]


def _opened_delivery(sealer: Sealer, item: Delivery) -> Delivery:
    return replace(item, body=sealer.open_bytes(item.body, sealer.place("delivery", item.id, item.sink)))
