"""The SQLite store: what can be wrong with its file, and what a killed process leaves."""

import asyncio
import contextlib
import itertools
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dspy_session.errors import ConfigurationError, StoreBusyError, StoreError
from dspy_session.stores import (
    Arrival,
    Commit,
    Delivery,
    Entry,
    Forget,
    MemoryStore,
    Settled,
    SqliteStore,
    store_from_url,
)
from dspy_session.stores.sqlite import inbox, outbox, schema
from dspy_session.testing.ledger_contract import NOW, bucket
from dspy_session.testing.store_contract import chain, opened, say, turn, whole


async def test_the_schema_is_made_once_and_marked_as_ours(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    async with opened(lambda: SqliteStore(path)) as store:
        await say(store, "k")
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)
        assert db.execute("PRAGMA application_id").fetchone() == (0x64737079,)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()


def test_a_commit_waits_for_the_disk(tmp_path: Path, synchronous: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "SYNCHRONOUS", synchronous)
    with contextlib.closing(schema.connect(str(tmp_path / "chat.db"))) as db:
        assert db.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def rights_in(folder: Path) -> dict[str, int]:
    return {each.name: stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()}


async def test_a_new_file_is_its_owners_alone_and_an_old_one_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    async with opened(lambda: SqliteStore(path)) as store:
        await say(store, "k")
        rights = rights_in(tmp_path)
        assert rights.pop("chat.db-serving") is not None, "nothing stands in it"
        assert rights == dict.fromkeys(("chat.db", "chat.db-shm", "chat.db-wal"), 0o600)
    path.chmod(0o640)
    async with opened(lambda: SqliteStore(path)) as store:
        await say(store, "k")
        assert rights_in(tmp_path)["chat.db"] == 0o640


async def test_several_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    stores = [SqliteStore(tmp_path / "chat.db") for _ in range(4)]
    await asyncio.gather(*(store.open(serving=place == 0) for place, store in enumerate(stores)))
    for store in stores:
        await say(store, "k")
    assert await whole(stores[0], "k") == chain(4)
    for store in stores:
        await store.aclose()


async def test_one_process_serves_a_file_and_tools_work_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    async with opened(lambda: SqliteStore(path)) as bot:
        await say(bot, "k")
        with pytest.raises(StoreError, match=r"serves another bot already.*postgresql://"):
            await SqliteStore(path).open()
        tool = SqliteStore(path)
        await tool.open(serving=False)
        assert await whole(tool, "k") == chain(1)
        await tool.forget(Forget(key="k"))
        await tool.aclose()
        assert await bot.list() == []
        await say(bot, "k")  # and the bot goes on
    async with opened(lambda: SqliteStore(path)):
        pass


async def test_what_a_tool_forgot_is_not_remembered_by_a_bot(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    async with opened(lambda: SqliteStore(path)) as bot:
        for _ in range(3):
            await say(bot, "k")
        await bot.forget(Forget(key="other"))
        lease = await bot.acquire("k", "bot", 30.0)
        assert lease.length is None  # nobody else wrote
        await bot.release(lease)
        tool = SqliteStore(path)
        await tool.open(serving=False)
        await tool.forget(Forget(key="k"))
        await tool.aclose()
        await bot.receive(Arrival("k", "e", "{}", 1.0, 1.0))  # so begins all that a bot does
        assert (await bot.acquire("k", "bot", 30.0)).length == 0


async def test_a_file_that_may_not_be_written_says_so_at_once(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    async with opened(lambda: SqliteStore(path)):
        pass
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):  # what opening tries, on such a file
        db.execute("PRAGMA user_version = 2")
    db.close()


def all_bytes_of(folder: Path) -> str:
    return "\n".join(file.read_bytes().decode("latin-1") for file in folder.iterdir())


async def test_what_is_forgotten_is_not_in_the_file_any_more(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    secret = "swordfish"
    async with opened(lambda: SqliteStore(path)) as store:
        await say(store, "keep")
        for key, author in (("gone", "ann"), ("shared", "bob")):
            await store.receive(Arrival(key, "e", f'{{"text":"{secret}"}}', 1.0, 1.0, author))
            entry = Entry("turn", f'{{"said":"{secret} {"x" * 5000}"}}', 1.0, None, None, author)
            delivery = Delivery("sink", f"{key}1", secret.encode() * 1000, 1.0)
            settled = Settled("e", secret, received=True)
            commit = Commit(
                key=key, expected=0, entries=[entry], marks={"turn:": 0}, settled=settled, deliveries=[delivery]
            )
            await store.commit(commit)
        assert secret in all_bytes_of(tmp_path)
        await store.forget(Forget(key="gone"))
        await store.forget(Forget(author="bob"))
        assert secret not in all_bytes_of(tmp_path)
        assert await whole(store, "keep") == chain(1)


async def refused(path: Path) -> str:
    store = SqliteStore(path)
    with pytest.raises(StoreError) as caught:
        await store.open()
    await store.aclose()
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


async def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert "cannot be written" in await refused(tmp_path / "missing" / "chat.db")


async def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    path.write_text("Dear diary, " * 100)
    assert "damaged or no database" in await refused(path)
    assert path.read_text().startswith("Dear diary")


async def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE recipes (name TEXT)")
    db.commit()
    db.close()
    before = path.read_bytes()
    assert "another program's database" in await refused(path)
    assert path.read_bytes() == before


async def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    async with opened(lambda: SqliteStore(path)) as store:
        await say(store, "k")
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.execute("UPDATE facts SET value = 99 WHERE name = 'readable_by'")
    db.commit()
    db.close()
    message = await refused(path)
    assert "newer version" in message
    assert "upgrade" in message


async def test_a_newer_schema_that_this_version_can_read_is_used(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    async with opened(lambda: SqliteStore(path)) as store:
        await say(store, "k")
    db = sqlite3.connect(path)
    db.execute("ALTER TABLE entries ADD COLUMN mood TEXT")
    db.execute("PRAGMA user_version = 99")
    db.close()
    async with opened(lambda: SqliteStore(path)) as store:
        await say(store, "k")
        assert await whole(store, "k") == chain(2)
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA user_version").fetchone() == (99,)
    db.close()


async def test_a_file_of_the_version_before_is_brought_up_to_this_one(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "chat.db"
    with monkeypatch.context() as before:
        before.setattr(schema, "VERSION", 2)
        async with opened(lambda: SqliteStore(path)) as store:
            await say(store, "k")
    async with opened(lambda: SqliteStore(path)) as store:
        assert await whole(store, "k") == chain(1)
    with monkeypatch.context() as before:  # a process that is yet to be upgraded works with it too
        before.setattr(schema, "VERSION", 2)
        async with opened(lambda: SqliteStore(path)) as store:
            await say(store, "k")
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)
    db.close()


async def test_a_file_of_before_the_first_release_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE entries (seq INTEGER)")
    db.execute("PRAGMA user_version = 1")
    db.execute("PRAGMA application_id = 0x64737079")
    db.close()
    assert "development version" in await refused(path)


def test_what_was_done_long_ago_costs_nothing_today() -> None:
    db = schema.connect(schema.MEMORY)
    columns = "key, event_id, author, state, payload, reply, sent_at, received_at, attempts, message_ids"
    done = [(f"e{number}",) for number in range(5000)]
    db.executemany(f"INSERT INTO arrivals ({columns}) VALUES ('k', ?, '', 'done', '', '', 1, 1, 1, '[]')", done)
    db.executemany("INSERT INTO lanes VALUES ('s', ?, 1e9, 0, 0, '', 0, 0)", done)
    inbox.receive(db, Arrival("k", "new", "{}", 2.0, 2.0))

    def steps(work: Callable[[], object]) -> int:
        counted = itertools.count()
        db.set_progress_handler(lambda: 0 * next(counted), 1)
        work()
        db.set_progress_handler(None, 0)
        return next(counted)

    assert steps(lambda: inbox.waiting(db, (), 10)) < 500
    assert steps(lambda: inbox.take(db, "k")) < 500
    assert steps(lambda: outbox.claim(db, "s", 1, 5.0, 35.0)) < 500
    assert steps(lambda: outbox.due(db, "s", 5.0)) < 500
    db.close()


def test_a_sink_is_due_when_a_lane_is_or_a_claim_ends() -> None:
    db = schema.connect(schema.MEMORY)
    assert outbox.due(db, "s", 5.0) is None
    for key, at in (("a", 1.0), ("b", 2.0), ("c", 100.0)):
        db.execute("INSERT INTO lanes VALUES ('s', ?, ?, 0, 0, '', 0, 0)", (key, at))
    assert outbox.due(db, "s", 5.0) == 0.0
    outbox.claim(db, "s", 1, 5.0, 35.0)
    assert outbox.due(db, "s", 5.0) == 0.0
    outbox.claim(db, "s", 1, 5.0, 25.0)
    assert outbox.due(db, "s", 5.0) == 20.0
    assert outbox.due(db, "s", 99.0) == 0.0
    db.close()


async def test_a_store_that_is_not_open_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is not open"):
        await SqliteStore(tmp_path / "chat.db").read("k")


async def test_work_that_fails_in_a_group_undoes_itself_alone(tmp_path: Path) -> None:
    def commit(key: str, expected: int, event_id: str) -> Commit:
        return Commit(key=key, expected=expected, entries=[turn(expected)], marks={}, settled=Settled(event_id))

    async with opened(lambda: SqliteStore(tmp_path / "chat.db")) as store:
        await store.commit(commit("k", 0, "e0"))
        outcomes = await asyncio.gather(
            store.commit(commit("a", 0, "e1")),
            store.commit(commit("k", 1, "e0")),  # the message is settled already
            store.commit(commit("b", 7, "e3")),  # the wrong place
            store.commit(commit("c", 0, "e4")),
            return_exceptions=True,
        )
        assert [type(outcome).__name__ for outcome in outcomes] == [
            "NoneType",
            "StaleJournalError",
            "StaleJournalError",
            "NoneType",
        ]
        assert {info.key for info in await store.list()} == {"k", "a", "c"}
        assert len(await whole(store, "k")) == 1


async def test_a_text_that_cannot_be_kept_harms_nobody_else(tmp_path: Path) -> None:
    bad = Commit(key="bad", expected=0, entries=[turn(0, author="\ud800")], marks={})
    async with opened(lambda: SqliteStore(tmp_path / "chat.db")) as store:
        await say(store, "k")
        outcomes = await asyncio.gather(say(store, "a"), store.commit(bad), say(store, "b"), return_exceptions=True)
        assert [type(outcome).__name__ for outcome in outcomes] == ["NoneType", "StoreError", "NoneType"]
        together = [Commit(key=key, expected=0, entries=[turn(0)], marks={}) for key in "cdef"]
        outcomes = await asyncio.gather(*map(store.commit, [*together, bad]), return_exceptions=True)
        assert [str(outcome) for outcome in outcomes if outcome is not None] == [
            "a text that is no valid Unicode cannot be kept: it holds half of a surrogate pair"
        ]
        assert {info.key for info in await store.list()} == set("kabcdef")


async def test_opening_that_is_cancelled_leaves_no_thread(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    for turns in range(6):
        store = SqliteStore(path)
        opening = asyncio.create_task(store.open())
        for _ in range(turns):
            await asyncio.sleep(0)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        await store.aclose()
        assert not [thread.name for thread in threading.enumerate() if str(path) in thread.name]
    async with opened(lambda: SqliteStore(path)) as store:
        await say(store, "k")


async def test_a_file_that_is_locked_for_long_can_be_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dspy_session.stores.sqlite.schema.BUSY_SECONDS", 0.0)
    path = tmp_path / "chat.db"
    async with opened(lambda: SqliteStore(path)) as store:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusyError, match="in use by another process"):
            await say(store, "k")
        assert (await store.read("k")).length == 0  # reading goes on
        other.execute("ROLLBACK")
        other.close()
        await say(store, "k")


WRITER = """
import asyncio, sys
from dspy_session.stores import Arrival, Settled, SqliteStore
from dspy_session.testing.store_contract import say

async def main():
    store = SqliteStore(sys.argv[1])
    await store.open()
    async def grow(key):
        number = 0
        while True:
            await store.receive(Arrival(key, f"e{number}", "{}", 1.0, 1.0))
            await say(store, key, settled=Settled(f"e{number}", received=True))
            print(key, number, flush=True)
            number += 1
    await asyncio.gather(*(grow(f"k{place}") for place in range(8)))

asyncio.run(main())
"""


def acknowledged_before_a_kill(path: Path) -> dict[str, int]:
    """Start a writer, kill it while it writes: the last number that each conversation was told is written."""
    told: dict[str, int] = {}
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if not line.endswith("\n"):
                break  # it died in the middle of a line
            key, number = line.split()
            told[key] = int(number)
            if sum(told.values()) == 200:
                process.kill()
    return told


@pytest.mark.parametrize("attempt", range(3))
async def test_what_was_acknowledged_survives_a_kill(tmp_path: Path, attempt: int) -> None:
    path = tmp_path / "chat.db"
    told = await asyncio.to_thread(acknowledged_before_a_kill, path)
    assert sum(told.values()) >= 200
    async with opened(lambda: SqliteStore(path)) as store:
        for key, number in told.items():
            journal = await whole(store, key)
            assert len(journal) > number
            assert journal == chain(len(journal))
            assert all([await store.knows(key, f"e{place}") for place in range(len(journal))])


async def test_a_file_that_may_not_grow_is_explained_and_recovers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect
    opened_here: list[sqlite3.Connection] = []

    def remembered(*args: object, **options: object) -> sqlite3.Connection:
        opened_here.append(connect(*args, **options))  # type: ignore[call-overload]
        return opened_here[-1]

    monkeypatch.setattr("dspy_session.stores.sqlite.schema.sqlite3.connect", remembered)
    path = tmp_path / "chat.db"
    async with opened(lambda: SqliteStore(path)) as store:
        await say(store, "k")
        writer = opened_here[-2]  # before the one that reads
        writer.execute("PRAGMA max_page_count = 30").fetchone()  # fills the disk
        large = Commit(key="k", expected=1, entries=[Entry("turn", "x" * 200_000, 1.0)], marks={})
        with pytest.raises(StoreBusyError, match="make room"):
            await store.commit(large)
        writer.execute("PRAGMA max_page_count = 1000000").fetchone()
        await say(store, "k")
        assert await whole(store, "k") == chain(2)


def test_urls(tmp_path: Path) -> None:
    assert isinstance(store_from_url("memory://"), MemoryStore)
    relative, absolute = store_from_url("sqlite:///chat.db"), store_from_url("sqlite:////var/lib/chat.db")
    assert isinstance(relative, SqliteStore)
    assert isinstance(absolute, SqliteStore)
    assert (str(relative.path), str(absolute.path)) == ("chat.db", "/var/lib/chat.db")


@pytest.mark.parametrize("url", ["", "chat.db", "sqlite:///", "sqlite://chat.db", "mysql://user:secret@host/db"])
def test_an_unknown_url_is_refused_without_telling_secrets(url: str) -> None:
    with pytest.raises(ConfigurationError, match="sqlite:///FILE") as caught:
        store_from_url(url)
    assert "secret" not in str(caught.value)


async def test_accounts_that_say_nothing_any_more_are_swept(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    async with opened(lambda: SqliteStore(path)) as store:
        for number in range(30):
            await store.charge([bucket(f"a{number}")], NOW)
        for number in range(3):
            await store.charge([bucket("later")], NOW + 3600.0 + number)
    db = sqlite3.connect(path)
    assert db.execute("SELECT name FROM accounts").fetchall() == [("later",)]
    db.close()


async def test_a_tool_beside_a_bot_counts_on_the_same_accounts(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    async with opened(lambda: SqliteStore(path)) as bot:
        tool = SqliteStore(path)
        await tool.open(serving=False)
        refusals = await asyncio.gather(*(store.charge([bucket()], NOW) for _ in range(25) for store in (bot, tool)))
        assert refusals.count(None) == 10
        await tool.aclose()
