"""The PostgreSQL store when something is wrong: the connection, the server, the address, the tables."""

from __future__ import annotations

import asyncio
import importlib
import socket
import sys

import asyncpg
import pytest

from dspy_session.errors import ConfigurationError, StoreBusyError, StoreError
from dspy_session.stores.incoming import Posting
from dspy_session.stores.ledger import Adjustment
from dspy_session.stores.outgoing import Settlement
from dspy_session.stores.postgres import PostgresStore, schema
from dspy_session.stores.postgres.address import address
from dspy_session.stores.postgres.database import Database
from dspy_session.stores.postgres.explain import explained
from dspy_session.stores.postgres.schema import Migration, migrations
from dspy_session.stores.protocol import Commit, Forget, Settled
from dspy_session.testing.inbox_contract import LEASE, message
from dspy_session.testing.ledger_contract import NOW, bucket, left
from dspy_session.testing.outbox_contract import delivery
from dspy_session.testing.store_contract import chain, opened, refused, say, turn, whole
from tests.postgres import PASSWORD
from tests.stores.pooler import pooled

# --- the server dies --------------------------------------------------------------------------------------------------


async def test_what_was_acknowledged_survives_the_servers_death_and_is_written_once(postgres, postgres_url):
    acknowledged = {f"k{number}": 0 for number in range(8)}

    async def write(store, key):
        while acknowledged[key] < 60:
            number = acknowledged[key]
            entry = turn(number, number - 1 if number else None)
            await store.commit(Commit(key=key, expected=number, entries=[entry], marks={"turn:": number}))
            acknowledged[key] += 1

    async with opened(lambda: PostgresStore(postgres_url)) as store:
        writers = [asyncio.create_task(write(store, key)) for key in acknowledged]
        for enough in (80, 200, 320):
            while sum(acknowledged.values()) < enough:  # noqa: ASYNC110  # the writers know nothing of this
                await asyncio.sleep(0)
            postgres.kill()
            postgres.start()
        await asyncio.gather(*writers)  # nobody was told of it
        for key in acknowledged:
            assert await whole(store, key) == chain(60)


async def test_who_waits_for_news_listens_again(postgres, postgres_url):
    async with opened(lambda: PostgresStore(postgres_url)) as one, opened(lambda: PostgresStore(postgres_url)) as two:
        await two.changed(10.0)
        postgres.kill()
        postgres.start()
        async with asyncio.timeout(10):
            await two.changed(60.0)  # that the connection is lost may be news
            await two.changed(60.0)  # and that it is there again
        waiting = asyncio.create_task(two.changed(60.0))
        await asyncio.sleep(0)
        await one.receive(message("e1"))
        async with asyncio.timeout(10):
            await waiting


async def test_who_stands_still_within_a_transaction_keeps_nobody_out_for_ever(postgres_url, monkeypatch):
    monkeypatch.setattr("dspy_session.stores.postgres.database.STANDSTILL_SECONDS", 0.2)
    begun, goes_on, tries = asyncio.Event(), asyncio.Event(), 0

    async def work(transaction):
        nonlocal tries
        tries += 1
        await transaction.rows("SELECT FROM store.conversations FOR UPDATE")
        if tries == 1:
            begun.set()
            await goes_on.wait()
        return await transaction.value("SELECT length FROM store.conversations")

    async with opened(lambda: PostgresStore(postgres_url)) as store:
        await say(store, "k")
        still = Database(address(postgres_url), 1, 5.0)
        await still.open()
        standing = asyncio.create_task(still.run(work))
        await begun.wait()
        async with asyncio.timeout(10):
            await store.commit(Commit(key="k", expected=1, entries=[turn(1, 0)], marks={"turn:": 1}))
        goes_on.set()
        assert await standing == 2  # it has found out, and begun again
        assert tries == 2
        await still.aclose()


async def test_a_server_that_stays_away_is_named_in_one_line_and_may_come_back(postgres, postgres_url):
    async with opened(lambda: PostgresStore(postgres_url, patience=0.1)) as store:
        await say(store, "k")
        postgres.kill()
        try:
            for attempt in (say(store, "k"), store.read("k"), store.receive(message("e1")), store.claim("s", 1, LEASE)):
                with pytest.raises(StoreBusyError) as caught:
                    await attempt
                assert_is_one_clean_line(caught.value)
            await store.changed(0.01)  # whoever asks for work next is told
        finally:
            postgres.start()
        await say(store, "k")
        assert await whole(store, "k") == chain(2)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("settled", [None, Settled("e1", "reply", received=True)])
async def test_a_commit_of_which_nobody_knows_what_became_is_looked_up(postgres, postgres_url, when, settled):
    async with pooled(postgres) as pooler, opened(lambda: PostgresStore(pooler.url(schema_of(postgres_url)))) as store:
        await store.receive(message("e1"))
        lease = await store.acquire("k", "one", LEASE)
        for number, entries in enumerate((chain(1), [turn(1, 0)])):
            pooler.lose = when
            commit = Commit(
                key="k",
                expected=number,
                entries=entries,
                marks={"turn:": number},
                lease=lease,
                settled=None if number else settled,
                deliveries=[delivery(number)],
            )
            await store.commit(commit)
            assert await refused(store, commit)  # a second time it is what it always is: stale
        assert pooler.lost == 2
        assert await whole(store, "k") == chain(2)
        batch = await store.claim("s", 9, LEASE)
        assert list(batch.deliveries) == [delivery(0), delivery(1)]


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_commit_whose_fate_stays_unknown_is_not_called_unwritten(postgres, postgres_url, when):
    async with (
        pooled(postgres) as pooler,
        opened(lambda: PostgresStore(pooler.url(schema_of(postgres_url)), patience=0.1)) as store,
    ):
        pooler.lose, pooler.keeps_losing = when, True
        commit = Commit(key="k", expected=0, entries=chain(1), marks={"turn:": 0})
        with pytest.raises(StoreError, match="the connection was lost while a change of 'k' was written") as caught:
            await store.commit(commit)
        assert not isinstance(caught.value, StoreBusyError)
        assert_is_one_clean_line(caught.value)
        pooler.lose = ""
        assert await whole(store, "k") == ([] if when == "before" else chain(1))


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_message_that_is_settled_while_the_connection_is_lost_is_settled_once(postgres, postgres_url, when):
    async with pooled(postgres) as pooler, opened(lambda: PostgresStore(pooler.url(schema_of(postgres_url)))) as store:
        await store.receive(message("e1"))
        pooler.lose = when
        await store.commit(Commit(key="k", expected=0, settled=Settled("e1", "reply", received=True)))
        assert await refused(store, Commit(key="k", expected=0, settled=Settled("e1", "another", received=True)))
        lease = await store.acquire("k", "one", LEASE)
        assert (await store.take(lease)).reply == "reply"


@pytest.mark.parametrize("when", ["before", "after"])
async def test_every_verb_works_though_the_connection_is_lost_meanwhile(postgres, postgres_url, when):
    async with pooled(postgres) as pooler, opened(lambda: PostgresStore(pooler.url(schema_of(postgres_url)))) as store:

        async def lossy(verb):
            pooler.lose, before = when, pooler.lost
            result = await verb
            assert pooler.lost == before + 1
            return result

        await lossy(store.receive(message("e1")))
        assert await lossy(store.waiting(1)) == ["k"]
        lease = await lossy(store.acquire("k", "one", LEASE))  # not taken for somebody else's
        assert await store.acquire("k", "one", LEASE) is None
        assert list(await lossy(store.renew([lease], LEASE))) == [lease]
        assert (await lossy(store.take(lease))).arrival == message("e1")
        settled = Settled("e1", "reply", received=True)
        deliveries = [delivery(1), delivery(2)]
        await lossy(store.commit(Commit(key="k", expected=0, lease=lease, settled=settled, deliveries=deliveries)))
        await lossy(store.posted(lease, Posting("e1", ("m1",))))
        assert await lossy(store.take(lease)) is None
        await lossy(store.release(lease))
        for number in (1, 2):
            batch = await store.claim("s", 1, LEASE)
            assert list(batch.deliveries) == [delivery(number)]
            assert await lossy(store.settle(batch, Settlement("delivered"))) is (when == "before")
        assert await lossy(store.lanes()) == []
        await say(store, "k", 2)
        assert len((await lossy(store.read("k"))).entries) == 2
        await lossy(store.forget(Forget(key="k")))
        assert await lossy(store.list()) == []


async def test_another_writers_commit_is_never_taken_for_ones_own(postgres, postgres_url):
    async with pooled(postgres) as pooler, opened(lambda: PostgresStore(pooler.url(schema_of(postgres_url)))) as store:
        pooler.lose = "before"
        ours = asyncio.create_task(refused(store, Commit(key="k", expected=0, entries=[turn(7)], marks={"turn:": 0})))
        while not pooler.lost:  # noqa: ASYNC110  # as above
            await asyncio.sleep(0)
        async with opened(lambda: PostgresStore(postgres_url)) as other:
            theirs = await refused(other, Commit(key="k", expected=0, entries=[turn(0)], marks={"turn:": 0}))
        assert await ours is not theirs
        assert await whole(store, "k") == [turn(7 if theirs else 0)]


# --- the address is wrong ---------------------------------------------------------------------------------------------


def schema_of(url):
    return url.rsplit("=", 1)[1]


def assert_is_one_clean_line(error):
    assert "\n" not in str(error)
    assert PASSWORD not in str(error)
    assert "wrong-secret" not in str(error)
    assert "postgresql://" in str(error)


async def refusal(url):
    store = PostgresStore(url, patience=0.1)
    with pytest.raises(StoreError) as caught:
        await store.open()
    await store.aclose()
    assert_is_one_clean_line(caught.value)
    return str(caught.value)


async def test_a_wrong_password(postgres):
    assert "check the user and the password" in await refusal(postgres.url(password="wrong-secret"))


async def test_a_database_that_is_not_there(postgres):
    assert "create the database" in await refusal(postgres.url().removesuffix("/postgres") + "/nowhere")


async def test_a_port_where_nobody_listens(postgres):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = postgres.url().replace(str(postgres.port), str(free.getsockname()[1]))
        assert "check host and port" in await refusal(url)


async def test_a_user_who_may_make_no_tables(postgres):
    db = await asyncpg.connect(postgres.url())
    await db.execute("CREATE ROLE visitor LOGIN PASSWORD 'wrong-secret'")
    await db.close()
    url = f"postgresql://visitor:wrong-secret@127.0.0.1:{postgres.port}/postgres"
    assert "grant the user USAGE and CREATE" in await refusal(f"{url}?schema=forbidden")


async def test_another_programs_tables_are_left_alone(postgres, postgres_url):
    name = schema_of(postgres_url)
    db = await asyncpg.connect(postgres.url())
    await db.execute(f"CREATE SCHEMA {name}; CREATE TABLE {name}.entries (recipe text)")
    assert "another program's tables" in await refusal(postgres_url)
    assert await db.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = $1", name) == 1
    await db.close()


def test_other_errors_are_explained_too():
    here = address("postgresql://u:wrong-secret@h/d")
    for error, words in (
        (socket.gaierror(-2, "Name or service not known"), "check the host"),
        (TimeoutError(), "did not answer in time"),
        (asyncpg.ReadOnlySQLTransactionError("no"), "name the primary"),
        (asyncpg.DiskFullError("no"), "make room"),
        (asyncpg.TooManyConnectionsError("no"), "raise max_connections"),
        (asyncpg.UndefinedTableError("no"), "restart"),
        (asyncpg.DivisionByZeroError("what happened\nDETAIL: what was to be written"), "d: what happened"),
    ):
        assert words in str(explained(here, error))
        assert_is_one_clean_line(explained(here, error))


def test_the_password_is_nowhere_to_be_read():
    store = PostgresStore("postgresql://me:wrong-secret@db.example:5433/chat?sslmode=require&schema=bots")
    assert repr(store) == "PostgresStore('postgresql://me@db.example:5433/chat')"
    assert "wrong-secret" not in repr(address("postgresql://me:wrong-secret@db.example/chat"))


def test_what_stands_behind_the_question_mark_is_for_the_connection_but_the_schema():
    found = address("postgresql://me:p%2Fw@[::1]:5433/chat?sslmode=require&schema=bots")
    assert found.dsn == "postgresql://me:p%2Fw@[::1]:5433/chat?sslmode=require"
    assert (found.schema, found.name) == ("bots", "postgresql://me@[::1]:5433/chat")
    assert address("postgres:///chat?host=/run/postgresql").dsn == "postgres:///chat?host=/run/postgresql"
    assert address("postgresql://localhost/chat").schema == "dspy_session"


@pytest.mark.parametrize(
    "url",
    [
        "mysql://me:wrong-secret@h/d",
        "postgresql://me:wrong-secret@h:port/d",
        "postgresql://me:wrong-secret@[h/d",
        "postgresql://me:wrong-secret@h/d?schema=",
        "postgresql://me:wrong-secret@h/d?schema=a.b%22;DROP",
    ],
)
def test_a_url_that_cannot_be_read_is_refused_without_telling_secrets(url):
    with pytest.raises(ConfigurationError) as caught:
        PostgresStore(url)
    assert "secret" not in str(caught.value)
    assert "PostgreSQL URL" in str(caught.value)


def test_without_asyncpg_it_says_what_to_install(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("dspy_session.stores.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'dspy-session-kit\[postgres\]'"):
        importlib.import_module("dspy_session.stores.postgres")


# --- the tables are of another version --------------------------------------------------------------------------------


async def versions(postgres, url):
    db = await asyncpg.connect(postgres.url())
    found = await db.fetch(f"SELECT version, readable_by FROM {schema_of(url)}.dspy_session_schema")
    await db.close()
    return [tuple(row) for row in found]


async def test_processes_that_start_at_once_make_the_tables_once(postgres, postgres_url):
    made = [PostgresStore(postgres_url) for _ in range(5)]
    await asyncio.gather(*(store.open() for store in made))
    await asyncio.gather(*(say(store, f"k{number}") for number, store in enumerate(made)))
    assert len(await made[0].list()) == 5
    for store in made:
        await store.aclose()
    latest = migrations()[-1]
    assert await versions(postgres, postgres_url) == [(latest.version, latest.readable_by)]


def test_migrations_follow_one_another():
    assert [step.version for step in migrations()] == list(range(1, len(migrations()) + 1))


async def bring_up(url, steps):
    database = Database(address(url), 1, 1.0)
    await database.open()
    try:
        await database.run(lambda db: schema.bring_up(db, address(url), steps))
    finally:
        await database.aclose()


async def test_older_tables_are_brought_up_and_keep_what_they_hold(postgres, postgres_url):
    async with opened(lambda: PostgresStore(postgres_url)) as store:
        await say(store, "k", 3)
        added = "ALTER TABLE store.entries ADD COLUMN mood text; CREATE TABLE store.moods (name text)"
        newer = migrations()[-1].version + 1
        steps = [*migrations(), Migration(newer, 1, added)]
        await asyncio.gather(*(bring_up(postgres_url, steps) for _ in range(3)))
        assert await versions(postgres, postgres_url) == [(newer, 1)]
        await say(store, "k")  # the process that ran meanwhile goes on
    async with opened(lambda: PostgresStore(postgres_url)) as store:  # as does one that starts now, of the old version
        assert await whole(store, "k") == chain(4)
    assert await versions(postgres, postgres_url) == [(newer, 1)]


async def test_newer_tables_that_cannot_be_read_are_refused(postgres, postgres_url):
    ours = migrations()[-1].version
    steps = [
        *migrations(),
        Migration(ours + 1, ours, "CREATE TABLE store.moods (name text)"),
        Migration(ours + 2, ours + 1, "DROP TABLE store.entries CASCADE"),
    ]
    await bring_up(postgres_url, steps)
    said = await refusal(postgres_url)
    versions = f"(schema {ours + 2}, readable from {ours + 1} on, this one knows {ours})"
    assert f"newer version of dspy-session-kit {versions}: upgrade" in said


async def test_a_migration_that_fails_changes_nothing(postgres, postgres_url):
    await bring_up(postgres_url, migrations())
    ours = migrations()[-1]
    steps = [*migrations(), Migration(ours.version + 1, 1, "CREATE TABLE store.moods (name text); SELECT 1 / 0")]
    with pytest.raises(StoreError, match="division by zero"):
        await bring_up(postgres_url, steps)
    assert await versions(postgres, postgres_url) == [(ours.version, ours.readable_by)]
    made = Migration(ours.version + 1, 1, "CREATE TABLE store.moods (name text)")
    await bring_up(postgres_url, [*migrations(), made])


# --- what limits count ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_lost_connection_lets_nobody_use_more(postgres, postgres_url, when):
    async with pooled(postgres) as pooler, opened(lambda: PostgresStore(pooler.url(schema_of(postgres_url)))) as store:
        pooler.lose = when
        assert await store.charge([bucket(amount=3.0)], NOW) is None  # counted once, or once more than it was made
        pooler.lose = when
        await store.adjust([Adjustment("bucket", -2.0)], NOW)  # done, or left as it was
        assert pooler.lost == 2
        assert await left(store, bucket()) == (10 - 3 if when == "before" else 10 - 6 + 2)
