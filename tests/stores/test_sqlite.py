"""The SQLite store: what can be wrong with its file, and what a killed process leaves."""

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from dspy_session.errors import ConfigurationError, StoreError
from dspy_session.stores import Entry, MemoryStore, SqliteStore, store_from_url
from dspy_session.testing.store_contract import entry, opened


async def test_the_schema_is_made_once_and_marked_as_ours(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    async with opened(lambda: SqliteStore(path)) as store:
        await store.append("k", entry(0), 0)
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        assert db.execute("PRAGMA application_id").fetchone() == (0x64737079,)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()


async def test_two_processes_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    stores = [SqliteStore(tmp_path / "chat.db") for _ in range(4)]
    await asyncio.gather(*(store.open() for store in stores))
    for place, store in enumerate(stores):
        await store.append("k", entry(place), place)
    assert len(await stores[0].read("k")) == 4
    for store in stores:
        await store.aclose()


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
        await store.append("k", entry(0), 0)
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    message = await refused(path)
    assert "newer version" in message
    assert "upgrade" in message


async def test_a_store_that_is_not_open_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is not open"):
        await SqliteStore(tmp_path / "chat.db").read("k")


async def test_work_that_fails_in_a_group_undoes_itself_alone(tmp_path: Path) -> None:
    async with opened(lambda: SqliteStore(tmp_path / "chat.db")) as store:
        await store.append("k", entry(0, "e0"), 0)
        outcomes = await asyncio.gather(
            store.append("a", entry(1), 0),
            store.append("k", entry(2, "e0"), 1),  # the event stands already
            store.append("b", entry(3), 7),  # the wrong place
            store.append("c", entry(4), 0),
            return_exceptions=True,
        )
        assert [type(outcome).__name__ for outcome in outcomes] == [
            "NoneType",
            "StaleJournalError",
            "StaleJournalError",
            "NoneType",
        ]
        assert {info.key for info in await store.list()} == {"k", "a", "c"}


WRITER = """
import asyncio, sys
from dspy_session.stores import SqliteStore
from dspy_session.testing.store_contract import entry

async def main():
    store = SqliteStore(sys.argv[1])
    await store.open()
    async def grow(key):
        number = 0
        while True:
            await store.append(key, entry(number, f"e{number}"), number)
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
            journal = list(await store.read(key))
            assert len(journal) > number
            assert [item.event_id for item in journal] == [f"e{place}" for place in range(len(journal))]


async def test_a_file_that_may_not_grow_is_explained_and_recovers(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    async with opened(lambda: SqliteStore(path)) as store:
        await store.append("k", entry(0), 0)
        await store._do(lambda db: db.execute("PRAGMA max_page_count = 8").fetchone())  # noqa: SLF001  # fills the disk
        with pytest.raises(StoreError, match="make room"):
            await store.append("k", Entry("call", "x" * 100_000, "", 1.0), 1)
        await store._do(lambda db: db.execute("PRAGMA max_page_count = 1000000").fetchone())  # noqa: SLF001
        await store.append("k", entry(1), 1)
        assert len(await store.read("k")) == 2


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
