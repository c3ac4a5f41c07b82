"""The PostgreSQL store keeps the contracts, also behind a pooler, and several processes may share it."""

from __future__ import annotations

import asyncio
import itertools
import time
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg
import pytest

from dspy_session.errors import StaleJournalError, StoreBusyError, StoreError
from dspy_session.stores.incoming import Inbox, Posting
from dspy_session.stores.ledger import Charge
from dspy_session.stores.outgoing import Outbox, Settlement
from dspy_session.stores.postgres import PostgresStore
from dspy_session.stores.protocol import Commit, Entry, Forget, Leases, Settled
from dspy_session.testing import (
    InboxContract,
    LeaseContract,
    LedgerContract,
    OutboxContract,
    PostsContract,
    StoreContract,
    VaultContract,
)
from dspy_session.testing.inbox_contract import LEASE, message
from dspy_session.testing.ledger_contract import NOW, bucket, left
from dspy_session.testing.outbox_contract import delivery
from dspy_session.testing.store_contract import chain, refused, say, turn, whole
from tests.stores.pooler import pooled


@pytest.fixture
async def emptied(postgres):
    """A schema whose tables are empty: to empty them takes a tenth of the time that making them takes."""
    async with tables(postgres, postgres.url("emptied")) as db:
        names = "SELECT tablename FROM pg_tables WHERE schemaname = 'emptied' AND tablename <> 'dspy_session_schema'"
        for (name,) in await db.fetch(names):
            await db.execute(f"DELETE FROM {name}")
    return "emptied"


class TestPostgresStore(
    StoreContract, LeaseContract, InboxContract, PostsContract, OutboxContract, LedgerContract, VaultContract
):
    @pytest.fixture
    def make_store(self, postgres, emptied):
        return lambda: PostgresStore(postgres.url(emptied))


@pytest.mark.unwatched
class TestBehindAPooler(
    StoreContract, LeaseContract, InboxContract, PostsContract, OutboxContract, LedgerContract, VaultContract
):
    @pytest.fixture
    async def make_store(self, postgres, emptied):
        async with pooled(postgres) as pooler:
            yield lambda: PostgresStore(pooler.url(emptied))
            assert pooler.prepared <= {""}  # a named statement would be missing on the next server


@asynccontextmanager
async def stores(url, count=1, **options):
    """Stores as processes of their own would have them."""
    async with AsyncExitStack() as stack:
        made = [PostgresStore(url, **options) for _ in range(count)]
        for store in made:
            stack.push_async_callback(store.aclose)
            await store.open()
        yield made


@asynccontextmanager
async def tables(postgres, url):
    """A connection that sees the store's tables."""
    db = await asyncpg.connect(postgres.url(), server_settings={"search_path": url.rsplit("=", 1)[1]})
    try:
        yield db
    finally:
        await db.close()


def test_it_is_all_that_a_bot_needs(postgres):
    store = PostgresStore(postgres.url())
    assert isinstance(store, Leases)
    assert isinstance(store, Inbox)
    assert isinstance(store, Outbox)


# --- several processes ------------------------------------------------------------------------------------------------


async def test_a_lease_goes_by_the_clock_of_the_database(postgres_url, monkeypatch):
    async with stores(postgres_url, 2) as (one, two):
        lease = await one.acquire("k", "one", LEASE)
        clock = time.time
        for minutes in (-10, 10):
            monkeypatch.setattr(time, "time", lambda minutes=minutes: clock() + 60 * minutes)
            assert await two.acquire("k", "two", LEASE) is None
        assert list(await one.renew([lease], 0.0)) == [lease]
        taken = await two.acquire("k", "two", LEASE)
        assert taken.fence > lease.fence
        assert list(await one.renew([lease], LEASE)) == []


async def test_a_lease_that_ended_writes_nothing_though_nobody_took_it(postgres_url):
    async with stores(postgres_url) as (store,):
        lease = await store.acquire("k", "one", 0.0)
        late = Commit(key="k", expected=0, entries=chain(1), marks={"turn:": 0}, lease=lease, deliveries=[delivery(1)])
        assert await refused(store, late)
        assert await whole(store, "k") == []
        assert list(await store.lanes()) == []
        await store.renew([lease], LEASE)
        await store.commit(late)


async def test_a_lease_is_for_its_own_conversation(postgres_url):
    async with stores(postgres_url) as (store,):
        lease = await store.acquire("k", "one", LEASE)
        assert await refused(store, Commit(key="other", expected=0, entries=chain(1), marks={}, lease=lease))


async def test_processes_that_share_a_conversation_write_one_after_the_other(postgres_url):
    fences = []

    async def work(store, owner):
        written = 0
        while written < 5:
            if (lease := await store.acquire("k", owner, LEASE)) is None:
                await asyncio.sleep(0)
                continue
            fences.append(lease.fence)
            assert lease.length == (await store.read("k", 1)).length
            await say(store, "k", lease=lease)
            await store.release(lease)
            written += 1

    async with stores(postgres_url, 3) as made:
        await asyncio.gather(*(work(store, str(number)) for number, store in enumerate(made)))
        assert await whole(made[0], "k") == chain(15)
    assert len(set(fences)) == 15
    assert fences == sorted(fences)


async def test_a_conversation_that_nobody_wrote_to_leaves_no_row(postgres, postgres_url):
    async with stores(postgres_url) as (store,), tables(postgres, postgres_url) as db:
        lease = await store.acquire("k", "one", LEASE)
        assert list(await store.list()) == []
        await store.release(lease)
        assert await db.fetchval("SELECT count(*) FROM conversations") == 0


async def test_a_process_hears_what_another_received_and_gave_free(postgres_url):
    async with stores(postgres_url, 2) as (one, two):
        await two.changed(10.0)  # the first time it says that it listens
        lease = await one.acquire("k", "one", LEASE)
        for happening in (one.receive(message("e1")), one.release(lease)):
            waiting = asyncio.create_task(two.changed(60.0))
            await asyncio.sleep(0)
            await happening
            async with asyncio.timeout(10):
                await waiting


async def test_news_of_other_schemas_wakes_nobody(postgres, postgres_url):
    async with stores(postgres_url) as (one,), stores(postgres.url("elsewhere")) as (two,):
        await two.changed(10.0)
        await one.receive(message("e1"))
        before = time.monotonic()
        await two.changed(0.1)
        assert time.monotonic() - before >= 0.1


async def test_lanes_lose_nothing_and_keep_their_order_while_many_write_and_deliver(postgres_url):
    delivered = {key: [] for key in "abc"}
    written = asyncio.Event()

    async def write(store, key):
        for number in range(20):
            await say(store, key, deliveries=[delivery(number)])

    async def deliver(store, failing):
        while (batch := await store.claim("s", 3, LEASE)) is not None or not written.is_set():
            if batch is None:
                await asyncio.sleep(0)
            elif next(failing) % 5 == 0:
                assert await store.settle(batch, Settlement("retry"))
            else:
                delivered[batch.key] += [item.id for item in batch.deliveries]
                assert await store.settle(batch, Settlement("delivered"))

    async with stores(postgres_url, 2) as made:
        delivering = [asyncio.create_task(deliver(store, itertools.count())) for store in made]
        await asyncio.gather(*(write(made[0], key) for key in delivered))
        written.set()
        await asyncio.gather(*delivering)
        while (batch := await made[0].claim("s", 3, LEASE)) is not None:  # what was being tried when the others stopped
            delivered[batch.key] += [item.id for item in batch.deliveries]
            await made[0].settle(batch, Settlement("delivered"))
        assert list(await made[0].lanes()) == []
    assert delivered == {key: [f"d{number}" for number in range(20)] for key in "abc"}


async def test_a_lane_that_somebody_holds_keeps_nobody_from_the_others(postgres, postgres_url):
    async with stores(postgres_url) as (store,), tables(postgres, postgres_url) as db:
        await say(store, "a", deliveries=[delivery(1)])
        await say(store, "b", deliveries=[delivery(2)])
        async with db.transaction():
            await db.execute("SELECT FROM lanes WHERE key = 'a' FOR UPDATE")
            async with asyncio.timeout(10):
                assert (await store.claim("s", 1, LEASE)).key == "b"
                assert await store.claim("s", 1, LEASE) is None


async def test_deliveries_of_one_commit_keep_their_order_in_each_lane(postgres_url):
    async with stores(postgres_url) as (store,):
        told = [delivery(number, "zyx"[number % 3]) for number in range(60)]
        await say(store, "k", deliveries=told)
        for sink in "xyz":
            batch = await store.claim(sink, 100, LEASE)
            assert list(batch.deliveries) == [item for item in told if item.sink == sink]


# --- much data --------------------------------------------------------------------------------------------------------


async def rows_read(db):
    """How many rows of tables and indexes queries went through, once all other connections have told theirs."""
    others = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    async with asyncio.timeout(10):
        while await db.fetchval(others):  # noqa: ASYNC110  # the server tells nobody
            await asyncio.sleep(0)
    return await db.fetchval("""
        SELECT (SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE schemaname = current_schema())
            + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE schemaname = current_schema())
    """)


async def test_what_is_read_and_claimed_takes_as_many_rows_however_many_there_are(postgres, postgres_url):
    async with tables(postgres, postgres_url) as db:
        async with stores(postgres_url):
            await db.execute("""
                SET session_replication_role = replica;  -- no foreign key is looked up 100,000 times
                INSERT INTO conversations (key, length, marks, created_at, updated_at)
                VALUES ('long', 100000, '{"turn:": 99999}', 1, 2);
                INSERT INTO entries (conversation, number, kind, body, at, previous, author)
                SELECT id, n, 'turn', '{}', n, nullif(n - 1, -1), '' FROM conversations, generate_series(0, 99999) AS n;
                INSERT INTO lanes (sink, key, due_at)
                SELECT 's', n, now() - make_interval(secs => n) FROM generate_series(1, 50000) AS n;
                INSERT INTO deliveries (sink, key, delivery_id, body, at)
                SELECT 's', n % 50000 + 1, n, '', n FROM generate_series(1, 100000) AS n;
            """)
        before = await rows_read(db)
        async with stores(postgres_url) as (store,):
            assert sorted((await store.read("long", 20)).entries) == list(range(99980, 100000))
        read = await rows_read(db)
        async with stores(postgres_url) as (store,):
            assert (await store.claim("s", 5, LEASE)).key == "50000"
        assert 20 <= read - before < 200
        assert 2 <= await rows_read(db) - read < 200


# --- forgetting -------------------------------------------------------------------------------------------------------


async def everything(db):
    """All that any table holds, as text."""
    names = await db.fetch("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
    rows = [str(row) for (name,) in names for row in await db.fetch(f"SELECT t::text FROM {name} t")]
    return "\n".join(rows).replace(b"secret".hex(), "secret")


async def test_no_table_keeps_what_was_forgotten(postgres, postgres_url):
    async with stores(postgres_url) as (store,), tables(postgres, postgres_url) as db:
        words = Entry("turn", '{"text":"secret"}', 1000.0, None, None, "ann")
        mine, other = delivery(1), delivery(2)
        mine = type(mine)("s", "d1", b"secret", 1.0)
        for key in ("k", "m"):
            for number in range(3):
                await store.receive(message(f"secret {number}", key))
            settled = Settled("secret 0", "secret reply", received=True)
            await store.commit(
                Commit(key=key, expected=0, entries=[words], marks={"turn:": 0}, settled=settled, deliveries=[mine])
            )
            await store.commit(Commit(key=key, expected=1, entries=[turn(1, 0)], marks={}, deliveries=[other]))
            await store.enqueue(key, [mine])
        lease = await store.acquire("m", "one", LEASE)
        assert (await store.take(lease)).reply == "secret reply"
        batch = await store.claim("s", 1, LEASE)

        assert await store.forget(Forget(key="k")) == 1
        assert "'k'" not in await everything(db)
        assert await store.forget(Forget(author="ann")) == 1
        left = await everything(db)
        assert "ann" not in left
        for row in left.splitlines():
            assert "secret" not in row or ",done," in row  # its id, so that it is not answered when it comes once more
        assert not await store.receive(message("secret 1", "m"))
        assert list(await store.waiting(10)) == []
        assert not await store.settle(batch, Settlement("delivered"))
        assert await refused(store, Commit(key="m", expected=3, entries=[turn(3)], marks={}, lease=lease))
        with pytest.raises(StaleJournalError):
            await store.posted(lease, Posting("secret 0", ("m1",)))
        assert [(lane.key, lane.waiting) for lane in await store.lanes()] == [("m", 1)]


async def test_what_is_said_of_what_is_said_is_forgotten_with_it(postgres_url):
    async with stores(postgres_url) as (store,):
        entries = [turn(0, None, "ann"), Entry("score", "{}", 1.0, None, 0, "bob"), Entry("why", "{}", 1.0, None, 1)]
        later = Commit(key="k", expected=0, entries=entries[:1], marks={"turn:": 0})
        await store.commit(later)
        scored = Commit(key="k", expected=1, entries=entries[1:], marks={"turn:": 0}, deliveries=[delivery(1)])
        await store.commit(scored)
        assert sorted((await store.read("k")).entries) == [0, 1, 2]
        assert await store.forget(Forget(author="ann")) == 1
        assert {entry.kind for entry in await whole(store, "k")} == {"forgotten"}
        assert list(await store.lanes()) == []


async def test_a_conversation_is_not_idle_while_somebody_waits_in_it(postgres_url):
    async with stores(postgres_url) as (store,):
        for key in ("waiting", "worked on", "idle"):
            await say(store, key, 2)
        await store.receive(message("e1", "waiting"))
        await store.acquire("worked on", "one", LEASE)
        await store.forget(Forget(before=5000.0))
        assert {info.key for info in await store.list()} == {"waiting", "worked on"}
        assert list(await store.waiting(10)) == ["waiting"]


# --- what cannot be kept ----------------------------------------------------------------------------------------------


@asynccontextmanager
async def kept_waiting(postgres, url, key, work):
    """Work that is begun and that has to wait for a conversation until the block ends."""
    async with tables(postgres, url) as db:
        async with db.transaction():
            await db.execute("SELECT FROM conversations WHERE key = $1 FOR UPDATE", key)
            working = asyncio.create_task(work)
            while not await db.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                await db.execute("SELECT pg_sleep(0.01)")
            yield
        await working


async def test_a_message_that_comes_while_its_conversation_is_forgotten_for_its_age_is_kept(postgres, postgres_url):
    async with stores(postgres_url, 2) as (one, two):
        await say(one, "first")
        await say(one, "k", settled=Settled("e0"))
        async with kept_waiting(postgres, postgres_url, "first", one.forget(Forget(before=1500.0))):
            assert await two.receive(message("e1"))
        lease = await two.acquire("k", "two", LEASE)
        assert (await two.take(lease)).arrival.event_id == "e1"


async def test_what_is_committed_while_its_author_is_forgotten_does_not_stay(postgres, postgres_url):
    async with stores(postgres_url, 2) as (one, two):
        words = [turn(0, None, "ann")]
        await one.commit(Commit(key="other", expected=0, entries=words, marks={"turn:": 0}))
        await two.receive(message("e1", author="ann"))
        lease = await two.acquire("k", "two", LEASE)
        settled = Settled("e1", "reply", received=True)
        commit = Commit(key="k", expected=0, entries=words, marks={"turn:": 0}, lease=lease, settled=settled)
        async with kept_waiting(postgres, postgres_url, "other", one.forget(Forget(author="ann"))):
            committing = asyncio.create_task(refused(two, commit))
            await asyncio.wait([committing], timeout=0.3)
        await committing
        assert [entry.author for key in ("k", "other") for entry in await whole(one, key) if entry.author] == []
        assert await one.waiting(10) == []


async def test_a_torn_chain_is_never_taken_for_a_short_one(postgres, postgres_url):
    async with stores(postgres_url) as (store,), tables(postgres, postgres_url) as db:
        await say(store, "k", 5)
        await say(store, "whole", 5)
        await db.execute(
            "DELETE FROM entries WHERE number = 2 AND conversation = (SELECT min(conversation) FROM entries)"
        )
        assert sorted((await store.read("k", 2)).entries) == [3, 4]
        with pytest.raises(StoreError, match="'k' is damaged, entry 2 is missing"):
            await store.read("k")
        assert len((await store.read("whole")).entries) == 5


@pytest.mark.parametrize(("text", "said"), [("\0", "NUL"), ("\ud800", "surrogate")])
async def test_a_text_that_cannot_be_kept_is_refused(postgres_url, text, said):
    async with stores(postgres_url) as (store,):
        with pytest.raises(StoreError, match=said) as caught:
            await store.commit(Commit(key="k", expected=0, entries=[Entry("turn", text, 1.0)], marks={"turn:": 0}))
        assert not isinstance(caught.value, StoreBusyError)
        assert await whole(store, "k") == []


async def test_a_store_that_is_not_open_says_so(postgres_url):
    store = PostgresStore(postgres_url)
    for attempt in (store.read("k"), store.changed(1.0)):
        with pytest.raises(StoreError, match="is not open"):
            await attempt


# --- what limits count ------------------------------------------------------------------------------------------------


async def test_processes_that_share_a_database_share_its_limits(postgres_url):
    async with stores(postgres_url, 2) as (one, two):
        charges = [bucket(), Charge("all", 1.0, 1000.0)]
        turns = [(store, charges[:: 1 if number % 3 else -1]) for number in range(25) for store in (one, two)]
        refusals = await asyncio.gather(*(store.charge(turn, NOW) for store, turn in turns))
        assert refusals.count(None) == 10
        assert await left(two, Charge("all", 495.0, 1000.0)) == 2


async def test_what_is_over_is_swept_by_those_who_charge(postgres, postgres_url):
    async with stores(postgres_url) as (store,), tables(postgres, postgres_url) as db:
        for number in range(30):
            await store.charge([bucket(f"a{number}")], NOW)
        for number in range(3):
            await store.charge([bucket("later")], NOW + 3600.0 + number)
        assert [row["name"] for row in await db.fetch("SELECT name FROM accounts")] == ["later"]


async def test_a_row_that_is_deleted_meanwhile_costs_no_charge(postgres, postgres_url):
    async with stores(postgres_url) as (store,), tables(postgres, postgres_url) as db:
        await left(store, bucket())
        async with db.transaction():
            await db.execute("DELETE FROM accounts")
            charging = asyncio.create_task(store.charge([bucket(amount=9.0)], NOW))
            waiting = "SELECT FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"
            async with asyncio.timeout(10):
                while not await db.fetch(waiting):
                    pass
        assert await charging is None
        assert await left(store, bucket()) == 1
