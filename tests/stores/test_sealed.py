"""A store that sees nothing of what people say: what is refused, and that nothing readable reaches the disk."""

import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import dspy
import pytest

from dspy_session.conversation import Conversations
from dspy_session.errors import ConfigurationError, StaleJournalError, StoreError
from dspy_session.stores import Kept, MemoryStore, SqliteStore
from dspy_session.stores.incoming import Arrival, Inbox, Posting
from dspy_session.stores.marking import MARK
from dspy_session.stores.outgoing import Delivery, Outbox, Settlement
from dspy_session.stores.protocol import Commit, Entry, Forget, Lease, Leases, Settled
from dspy_session.stores.sealed import IN_PLACE, UNREADABLE_DELAY, BotStore, SealedStore
from dspy_session.stores.sealing import SealingKey, is_sealed, key_id_of
from dspy_session.testing import (
    InboxContract,
    LeaseContract,
    LedgerContract,
    OutboxContract,
    PostsContract,
    StoreContract,
    VaultContract,
)

OLD, NEW = SealingKey("old", b"o" * 32), SealingKey("new", b"n" * 32)
K = "slack:T:C"
ENTRIES = [
    Entry("turn", f'{{"number":{number}}}', 1000.0 + number, number - 1 if number else None) for number in range(4)
]


class Echo(dspy.Module):
    async def aforward(self, message: str) -> dspy.Prediction:
        return dspy.Prediction(reply=message)


def delivery(name: str = "d1", sink: str = "hook", body: bytes = b'{"said":"hello"}') -> Delivery:
    return Delivery(sink, name, body, 1000.0)


def arrival(event_id: str = "e1", key: str = K, payload: str = '{"text":"hello"}') -> Arrival:
    return Arrival(key, event_id, payload, 1000.0, 1001.0, "slack:T:U")


async def write(store: BotStore, *entries: Entry, key: str = K, expected: int = 0, **more: object) -> None:
    """Add entries, the last of them marked."""
    marks = {"head": expected + len(entries) - 1}
    await store.commit(Commit(key=key, expected=expected, entries=entries, marks=marks, **more))  # type: ignore[arg-type]


async def held(store: BotStore, key: str = K) -> Lease:
    lease = await store.acquire(key, "me", 60.0)
    assert lease is not None
    return lease


async def everything(store: BotStore, key: str = K) -> Sequence[Entry]:
    return [entry async for entry in store.entries(key)]


@contextlib.asynccontextmanager
async def opened(*keys: SealingKey, beneath: BotStore | None = None) -> AsyncIterator[tuple[SealedStore, BotStore]]:
    beneath = beneath or MemoryStore()
    store = SealedStore(beneath, keys or (OLD,))
    await store.open()
    try:
        yield store, beneath
    finally:
        await store.aclose()


class TestSealedMemoryStore(
    StoreContract, LeaseContract, InboxContract, PostsContract, OutboxContract, LedgerContract, VaultContract
):
    durable = False

    @pytest.fixture
    def make_store(self):
        return lambda: SealedStore(MemoryStore(), OLD)


class TestSealedSqliteStore(
    StoreContract, LeaseContract, InboxContract, PostsContract, OutboxContract, LedgerContract, VaultContract
):
    @pytest.fixture
    def make_store(self, tmp_path):
        return lambda: SealedStore(SqliteStore(tmp_path / "chat.db"), [NEW, OLD])


# --- what goes in comes out -------------------------------------------------------------------------------------------


async def test_entries_come_back_as_they_were() -> None:
    async with opened() as (store, beneath):
        await write(store, *ENTRIES[:2])
        await write(store, *ENTRIES[2:], expected=2)
        journal = await store.read(K)
        assert (journal.length, journal.marks) == (4, {"head": 3})
        assert journal.entries == dict(enumerate(ENTRIES))
        assert (await store.read(K, 2)).entries == {2: ENTRIES[2], 3: ENTRIES[3]}
        assert await everything(store) == ENTRIES
        kept = await everything(beneath)
        assert all(is_sealed(entry.body) for entry in kept)
        assert [replace(entry, body="") for entry in kept] == [replace(entry, body="") for entry in ENTRIES]
        assert (await store.read("nobody")).length == 0


async def test_a_long_conversation_is_opened_in_a_thread() -> None:
    many = [Entry("turn", f'"{number}"', 1000.0, number - 1 if number else None) for number in range(IN_PLACE + 1)]
    async with opened() as (store, beneath):
        await write(store, *many)
        assert (await store.read(K)).entries == dict(enumerate(many))
        await write(beneath, many[0], expected=len(many))
        with pytest.raises(StoreError, match=f"entry '{len(many)}' .* is not encrypted"):
            await everything(store)


async def test_a_fork_is_sealed_for_its_own_conversation() -> None:
    async with opened() as (store, beneath):
        await write(store, ENTRIES[0])
        await write(store, *await everything(store), key="fork")
        assert await everything(store, "fork") == await everything(store)
        assert (await everything(beneath, "fork"))[0].body != (await everything(beneath))[0].body


async def test_a_message_and_its_answer_come_back_as_they_were() -> None:
    async with opened() as (store, beneath):
        assert await store.receive(arrival())
        assert not await store.receive(arrival())
        assert await store.waiting(10) == [K]
        lease = await held(store)
        sealed = await beneath.take(lease)
        assert sealed is not None
        assert is_sealed(sealed.arrival.payload)
        work = await store.take(lease)
        assert work is not None
        assert (work.arrival, work.reply) == (arrival(), "")
        await write(store, ENTRIES[0], lease=lease, settled=Settled("e1", '"hello yourself"'))
        sealed = await beneath.take(lease)
        assert sealed is not None
        assert is_sealed(sealed.reply)
        work = await store.take(lease)
        assert work is not None
        assert (work.arrival, work.reply) == (arrival(), '"hello yourself"')
        await store.posted(lease, Posting("e1", ("m1",)))
        assert await store.take(lease) is None
        await store.release(lease)


async def test_a_message_that_needs_no_answer_is_done() -> None:
    async with opened() as (store, _):
        await store.receive(arrival())
        lease = await held(store)
        await write(store, ENTRIES[0], lease=lease, settled=Settled("e1"))
        assert await store.take(lease) is None


async def test_an_answer_to_a_message_that_never_came_through_the_inbox() -> None:
    async with opened() as (store, _):
        lease = await held(store)
        await write(store, ENTRIES[0], lease=lease, settled=Settled("e1", '"answer"'))
        work = await store.take(lease)
        assert work is not None
        assert (work.arrival.payload, work.reply) == ("", '"answer"')


async def test_deliveries_come_back_as_they_were() -> None:
    async with opened() as (store, beneath):
        await write(store, ENTRIES[0], deliveries=[delivery("d1"), delivery("d2", body=b"\x00\xff")])
        await store.enqueue(K, [delivery("d3")])
        sealed = await beneath.claim("hook", 10, 60.0)
        assert sealed is not None
        assert all(is_sealed(item.body) for item in sealed.deliveries)
        assert await beneath.settle(sealed, Settlement("retry"))
        batch = await store.claim("hook", 10, 60.0)
        assert batch is not None
        assert list(batch.deliveries) == [delivery("d1"), delivery("d2", body=b"\x00\xff"), delivery("d3")]
        assert await store.settle(batch, Settlement("delivered"))
        assert await store.claim("hook", 10, 60.0) is None
        assert await store.lanes() == []


async def test_what_the_store_beneath_refuses_is_refused() -> None:
    async with opened() as (store, _):
        await write(store, ENTRIES[0])
        with pytest.raises(StaleJournalError):
            await write(store, ENTRIES[0])
        assert await everything(store) == ENTRIES[:1]


async def test_what_was_forgotten_stays_readable_as_such() -> None:
    async with opened() as (store, _):
        await write(store, replace(ENTRIES[0], author="slack:T:U"), ENTRIES[1])
        assert await store.forget(Forget(author="slack:T:U")) == 1
        blank, kept, notice = await everything(store)
        assert {(entry.kind, entry.body) for entry in (blank, notice)} == {("forgotten", "{}")}
        assert kept == ENTRIES[1]
        assert (await store.read(K)).entries == {0: blank, 1: kept}
        await write(store, ENTRIES[2], expected=3)
        assert (await everything(store))[3] == ENTRIES[2]
        assert await store.key_ids() == {"old": 2}


def test_it_has_all_that_a_bot_needs() -> None:
    store = SealedStore(MemoryStore(), OLD)
    assert isinstance(store, Leases)
    assert isinstance(store, Inbox)
    assert isinstance(store, Outbox)
    assert repr(store) == "SealedStore(MemoryStore())"


# --- rotation ---------------------------------------------------------------------------------------------------------


async def test_keys_are_rotated() -> None:
    beneath = MemoryStore()
    await beneath.open()
    old, both, new = (SealedStore(beneath, keys) for keys in ([OLD], [NEW, OLD.reveal()], NEW.reveal()))
    await write(old, ENTRIES[0])
    await old.receive(arrival())
    await write(both, ENTRIES[1], expected=1)
    assert await everything(both) == ENTRIES[:2]
    assert [key_id_of(entry.body) for entry in await everything(beneath)] == ["old", "new"]
    assert await both.key_ids() == await both.key_ids("slack:") == {"old": 1, "new": 1}
    assert await both.key_ids("discord:") == {}
    work = await both.take(await held(both))
    assert work is not None
    assert work.arrival == arrival()
    with pytest.raises(StoreError, match=r"entry '0' of conversation 'slack:T:C'.* 'old', which was not given"):
        await new.read(K)
    await beneath.aclose()


# --- refusals ---------------------------------------------------------------------------------------------------------


async def test_plain_entries_are_refused() -> None:
    async with opened() as (store, beneath):
        await write(beneath, ENTRIES[0])
        what_to_do = r"entry '0' of conversation 'slack:T:C' is not encrypted.*forget the conversation"
        with pytest.raises(StoreError, match=what_to_do):
            await store.read(K)
        with pytest.raises(StoreError, match="is not encrypted"):
            await everything(store)
        await write(store, ENTRIES[1], key="other")
        assert await everything(store, "other") == [ENTRIES[1]]  # one conversation's damage is its own


async def test_a_plain_forgotten_entry_that_says_something_is_refused() -> None:
    async with opened() as (store, beneath):
        await write(beneath, Entry("forgotten", '{"text":"planted"}', 1000.0))
        with pytest.raises(StoreError, match="is not encrypted"):
            await store.read(K)


async def test_plain_messages_and_answers_are_refused() -> None:
    async with opened() as (store, beneath):
        await beneath.receive(arrival())
        lease = await held(store)
        with pytest.raises(StoreError, match=r"message 'e1' of conversation 'slack:T:C' is not encrypted"):
            await store.take(lease)
        await store.receive(arrival("e2"))
        await write(beneath, ENTRIES[0], lease=lease, settled=Settled("e1", '"planted"'))
        with pytest.raises(StoreError, match=r"reply 'e1' of conversation 'slack:T:C' is not encrypted"):
            await store.take(lease)


async def test_an_empty_message_is_refused() -> None:
    async with opened() as (store, beneath):
        await beneath.receive(arrival(payload=""))
        with pytest.raises(StoreError, match=r"message 'e1' .* is not encrypted"):
            await store.take(await held(store))


async def test_a_plain_delivery_is_refused_and_holds_up_no_other_lane() -> None:
    async with opened() as (store, beneath):
        await beneath.enqueue(K, [replace(delivery(), at=999.0)])  # the first to be due
        await store.enqueue("other", [delivery("d2")])
        with pytest.raises(StoreError, match=r"delivery 'd1' of conversation 'slack:T:C' is not encrypted"):
            await store.claim("hook", 10, 60.0)
        batch = await store.claim("hook", 10, 60.0)
        assert batch is not None
        assert (batch.key, list(batch.deliveries)) == ("other", [delivery("d2")])
        stuck = next(lane for lane in await store.lanes() if lane.key == K)
        assert (stuck.waiting, stuck.attempts) == (1, 1)
        assert "is not encrypted" in stuck.reason
        assert 0 < UNREADABLE_DELAY <= 3600


async def test_rows_that_were_swapped_or_moved_are_refused() -> None:
    async with opened() as (store, beneath):
        await write(store, *ENTRIES[:2])
        first, second = await everything(beneath)
        await write(beneath, replace(first, body=second.body), second, key="copied")
        for key, rows in {"swapped": (second, first), "moved": (first, second)}.items():
            await write(beneath, *rows, key=key)
            with pytest.raises(
                StoreError, match=f"entry '1' of conversation '{key}'|entry '0' of conversation '{key}'"
            ):
                await store.read(key)
        with pytest.raises(StoreError, match="changed or moved"):
            await everything(store, "copied")


async def test_entries_of_one_conversation_cannot_change_places() -> None:
    async with opened() as (store, beneath):
        await write(store, *ENTRIES[:2])
        first, second = await everything(beneath)
        await beneath.forget(Forget(key=K))
        await write(beneath, second, first)
        with pytest.raises(StoreError, match="changed or moved"):
            await store.read(K)
        await beneath.forget(Forget(key=K))
        await write(beneath, first, replace(second, kind="undo"))
        with pytest.raises(StoreError, match=r"entry '1' .*changed or moved"):
            await store.read(K)
        await beneath.forget(Forget(key=K))
        await write(beneath, first, second)
        assert await everything(store) == ENTRIES[:2]


async def test_an_answer_cannot_be_given_to_another_message() -> None:
    async with opened() as (store, beneath):
        lease = await held(store)
        await write(store, ENTRIES[0], lease=lease, settled=Settled("e1", '"answer"'))
        sealed = await beneath.take(lease)
        assert sealed is not None
        await store.posted(lease, Posting("e1"))
        await write(beneath, ENTRIES[1], expected=1, lease=lease, settled=Settled("e2", sealed.reply))
        with pytest.raises(StoreError, match=r"reply 'e2' .*changed or moved"):
            await store.take(lease)


@pytest.mark.parametrize("moved", [{"id": "d2"}, {"sink": "other"}])
async def test_a_delivery_cannot_go_to_another_sink_or_under_another_id(moved: dict[str, str]) -> None:
    async with opened() as (store, beneath):
        await store.enqueue(K, [delivery()])
        batch = await beneath.claim("hook", 10, 60.0)
        assert batch is not None
        planted = replace(batch.deliveries[0], **moved)  # type: ignore[arg-type]
        assert await beneath.settle(batch, Settlement("delivered"))
        await beneath.enqueue(K, [planted])
        with pytest.raises(StoreError, match="changed or moved"):
            await store.claim(planted.sink, 10, 60.0)


async def test_a_store_that_keeps_what_it_is_handed_back_is_handed_nothing_readable() -> None:
    handed = []

    class Keeps(MemoryStore):
        async def settle(self, batch, settlement):
            handed.extend(batch.deliveries)
            return await super().settle(batch, settlement)

    async with opened(beneath=Keeps()) as (store, _):
        await store.enqueue(K, [delivery()])
        batch = await store.claim("hook", 10, 60.0)
        assert batch is not None
        await store.settle(batch, Settlement("retry"))
        assert [is_sealed(item.body) for item in handed] == [True]


# --- the disk ---------------------------------------------------------------------------------------------------------


async def say(store: BotStore, marker: str) -> None:
    """Say a word wherever something can be said."""
    said = f'{{"text":"{marker}"}}'
    await store.receive(arrival(payload=said))
    await store.receive(arrival("e2", payload=said))
    lease = await held(store)
    await write(
        store,
        Entry("turn", said, 1000.0),
        lease=lease,
        settled=Settled("e1", said),
        deliveries=[delivery(body=said.encode())],
    )
    await store.enqueue("other", [delivery(body=said.encode())])
    batch = await store.claim("hook", 10, 60.0)
    assert batch is not None
    await store.settle(batch, Settlement("retry", reason="no answer"))


def on_disk(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))


async def test_nothing_readable_reaches_the_disk(tmp_path: Path) -> None:
    plain, sealed = tmp_path / "plain", tmp_path / "sealed"
    plain.mkdir()
    sealed.mkdir()
    stores = (SqliteStore(plain / "chat.db"), SealedStore(SqliteStore(sealed / "chat.db"), OLD))
    for store in stores:
        await store.open()
        await say(store, "xylophone")
    for _ in range(2):  # with the write-ahead log, then folded in
        assert on_disk(plain).count(b"xylophone") >= 6  # the search finds what is there
        assert b"xylophone" not in on_disk(sealed)
        assert b"sealed1:old:" in on_disk(sealed)
        assert OLD.secret not in on_disk(sealed)
        for store in stores:
            await store.aclose()


async def test_what_was_sealed_is_there_after_a_restart(tmp_path: Path) -> None:
    async with opened(beneath=SqliteStore(tmp_path / "chat.db")) as (store, _):
        await say(store, "xylophone")
    async with opened(NEW, OLD, beneath=SqliteStore(tmp_path / "chat.db")) as (store, _):
        assert [entry.body for entry in await everything(store)] == ['{"text":"xylophone"}']
    async with opened(SealingKey("old", b"x" * 32), beneath=SqliteStore(tmp_path / "chat.db")) as (store, _):
        with pytest.raises(StoreError, match="another one of that name") as caught:
            await store.read(K)
        assert "\n" not in str(caught.value)


# --- making one -------------------------------------------------------------------------------------------------------


def test_a_store_without_an_inbox_cannot_be_sealed() -> None:
    with pytest.raises(ConfigurationError, match="object cannot be encrypted: it has no Leases, Inbox"):
        SealedStore(object(), OLD)  # type: ignore[arg-type]


def test_a_malformed_key_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="has no colon"):
        SealedStore(MemoryStore(), ["hunter2"])


WITHOUT_CRYPTOGRAPHY = """
import sys
sys.modules["cryptography"] = None
import dspy_session.stores
from dspy_session.errors import ConfigurationError
from dspy_session.stores.sealed import SealedStore
from dspy_session.stores.sealing import SealingKey, is_sealed
assert is_sealed("sealed1:k:AAAA")
try:
    SealedStore(dspy_session.stores.MemoryStore(), SealingKey.generate())
except ConfigurationError as error:
    print(error)
"""


def test_without_the_extra_stores_work_and_encryption_says_what_is_missing() -> None:
    command = [sys.executable, "-c", WITHOUT_CRYPTOGRAPHY]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert said.stdout == "encryption needs the package cryptography: pip install 'dspy-session-kit[crypto]'\n"


async def test_what_is_in_the_vault_is_sealed_under_its_name() -> None:
    async with opened() as (store, beneath):
        await store.put(Kept("slack:T1", "xoxb-secret", 7.0))
        below = await beneath.get("slack:T1")
        assert below is not None
        assert is_sealed(below.value)
        assert below.until == 7.0
        await beneath.put(replace(below, name="slack:T2"))
        await beneath.put(Kept("slack:T3", "xoxb-planted"))
        for name in ("slack:T2", "slack:T3"):
            with pytest.raises(StoreError, match=f"the secret '{name}' (does not open|is not encrypted)"):
                await store.get(name)
        assert await store.pull("slack:T1") == Kept("slack:T1", "xoxb-secret", 7.0)


async def test_a_store_is_encrypted_from_its_first_entry_on_or_never(tmp_path: Path) -> None:
    """Else a bot that is started without its keys once, or with keys too late, leaves what nobody reads any more."""
    echo, sealed, plain = Echo(), *(f"sqlite:///{tmp_path / name}" for name in ("s", "p"))
    async with Conversations(echo, sealed, keys=[OLD]) as chats:
        await chats.acall(K, message="Hi")
        assert isinstance(chats.store, SealedStore)
        assert await chats.store.names() == []
        assert await chats.store.get(MARK) is await chats.store.pull(MARK) is None
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="the store is encrypted: give its keys"):
            await Conversations(echo, sealed).open()
    async with Conversations(echo, sealed, keys=[NEW, OLD]) as chats:
        assert len((await chats.state(K)).turns) == 1
    async with Conversations(echo, plain) as chats:
        await chats.acall(K, message="Hi")
    with pytest.raises(ConfigurationError, match="conversations that are not encrypted, and keys are for a new one"):
        await Conversations(echo, plain, keys=[OLD]).open()
    async with Conversations(echo, plain) as chats:  # trying it has changed nothing
        assert len((await chats.state(K)).turns) == 1


async def test_a_store_of_an_older_version_is_marked_when_it_is_opened_with_its_keys() -> None:
    async with opened() as (store, beneath):
        await write(store, Entry("forgotten", "{}", 1000.0))
        await write(store, ENTRIES[0], key="other")
        await beneath.pull(MARK)
        await store.open()
        assert await beneath.get(MARK) == Kept(MARK, "")
