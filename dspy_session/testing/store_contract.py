"""The contract of a store, as tests.

Subclass it in a test module of yours, with a fixture ``make_store`` that returns a function making a store over the
same place each time::

    class TestMyStore(StoreContract):
        @pytest.fixture
        def make_store(self, tmp_path):
            return lambda: MyStore(tmp_path / "conversations")

Needs pytest with pytest-asyncio in its auto mode.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from dspy_session.errors import StaleJournalError
from dspy_session.stores import Entry, Store

MakeStore = Callable[[], Store]

HOSTILE_KEYS = (
    "slack:T1:C1:1700.1",
    "a",
    "A",
    "a ",
    "../../etc/passwd",
    "x'; DROP TABLE entries; --",
    "%00:%3A",
    "näme:ключ:鍵",
    "k" * 2000,
)


def entry(number: int, event_id: str = "") -> Entry:
    """An entry that can be told from others."""
    return Entry("call", f'{{"number":{number},"text":"ä \\ud83d\\ude00 \'\\""}}', event_id, 1000.0 + number)


@asynccontextmanager
async def opened(make_store: MakeStore) -> AsyncIterator[Store]:
    """A store for the time of a block."""
    store = make_store()
    await store.open()
    try:
        yield store
    finally:
        await store.aclose()


class StoreContract:
    """What every store must do.

    Attributes:
        durable: False for a store that may forget when it is closed.
    """

    durable = True

    async def test_a_conversation_that_nobody_wrote_to_is_empty(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            assert list(await store.read("nobody")) == []
            assert list(await store.list()) == []
            assert not await store.has_event("nobody", "e1")

    async def test_entries_come_back_equal_and_in_order(self, make_store: MakeStore) -> None:
        entries = [entry(number, f"e{number}") for number in range(20)]
        async with opened(make_store) as store:
            for place, item in enumerate(entries):
                await store.append("k", item, place)
            assert list(await store.read("k")) == entries

    async def test_keys_are_told_apart_whatever_stands_in_them(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            for number, key in enumerate(HOSTILE_KEYS):
                await store.append(key, entry(number), 0)
            for number, key in enumerate(HOSTILE_KEYS):
                assert list(await store.read(key)) == [entry(number)]
            assert {info.key for info in await store.list()} == set(HOSTILE_KEYS)

    async def test_a_stale_writer_writes_nothing(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await store.append("k", entry(0), 0)
            for expected in (0, 2, 17):
                await _refuses(store, entry(1), expected)
            assert list(await store.read("k")) == [entry(0)]

    async def test_of_many_writers_at_one_place_one_wins(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            outcomes = await asyncio.gather(
                *(store.append("k", entry(number), 0) for number in range(20)), return_exceptions=True
            )
            assert sum(outcome is None for outcome in outcomes) == 1
            assert sum(isinstance(outcome, StaleJournalError) for outcome in outcomes) == 19
            assert len(await store.read("k")) == 1

    async def test_many_conversations_grow_side_by_side(self, make_store: MakeStore) -> None:
        async def fill(store: Store, key: str) -> None:
            for number in range(5):
                await store.append(key, entry(number), number)

        async with opened(make_store) as store:
            await asyncio.gather(*(fill(store, f"k{number}") for number in range(30)))
            for number in range(30):
                assert len(await store.read(f"k{number}")) == 5

    async def test_an_event_stands_once_in_a_conversation(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await store.append("k", entry(0, "e1"), 0)
            assert await store.has_event("k", "e1")
            assert not await store.has_event("k", "e2")
            assert not await store.has_event("other", "e1")
            await _refuses(store, entry(1, "e1"), 1)
            await store.append("other", entry(1, "e1"), 0)
            await store.append("k", entry(2, "e2"), 1)
            assert [item.event_id for item in await store.read("k")] == ["e1", "e2"]

    async def test_entries_without_an_event_are_no_repetition(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await store.append("k", entry(0), 0)
            await store.append("k", entry(1), 1)
            assert not await store.has_event("k", "")

    async def test_the_list_shows_the_newest_first(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await store.append("old", entry(1), 0)
            await store.append("new", entry(2), 0)
            await store.append("old", entry(3), 1)
            infos = list(await store.list())
            assert [info.key for info in infos] == ["old", "new"]
            assert (infos[0].entries, infos[0].created_at, infos[0].updated_at) == (2, 1001.0, 1003.0)

    async def test_a_copy_goes_its_own_way(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await store.append("k", entry(0, "e1"), 0)
            await store.copy("k", "fork")
            await store.append("fork", entry(5), 1)
            assert [item.body for item in await store.read("fork")] == [entry(0).body, entry(5).body]
            assert list(await store.read("k")) == [entry(0, "e1")]
            assert not await store.has_event("fork", "e1")

    async def test_a_copy_overwrites_nothing(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await store.append("k", entry(0), 0)
            await store.append("taken", entry(1), 0)
            try:
                await store.copy("k", "taken")
            except StaleJournalError:
                pass
            else:
                raise AssertionError("copying over a conversation must raise StaleJournalError")
            assert list(await store.read("taken")) == [entry(1)]

    async def test_a_copy_of_nothing_is_nothing(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await store.copy("nobody", "fork")
            assert list(await store.read("fork")) == []

    async def test_a_cancelled_writer_leaves_all_or_nothing(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            writers = [asyncio.create_task(store.append(f"k{number}", entry(number), 0)) for number in range(50)]
            await asyncio.sleep(0)
            for writer in writers[::2]:
                writer.cancel()
            await asyncio.gather(*writers, return_exceptions=True)
            for number in range(50):
                journal = list(await store.read(f"k{number}"))
                assert journal in ([], [entry(number)])
                if number % 2:
                    assert journal
                await store.append(f"k{number}", entry(99), len(journal))

    async def test_what_was_appended_stands_after_a_restart(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await store.append("k", entry(0, "e1"), 0)
        if not self.durable:
            return
        async with opened(make_store) as store:
            assert list(await store.read("k")) == [entry(0, "e1")]
            assert await store.has_event("k", "e1")
            await store.append("k", entry(1), 1)

    async def test_closing_twice_does_no_harm(self, make_store: MakeStore) -> None:
        store = make_store()
        await store.open()
        await store.aclose()
        await store.aclose()


async def _refuses(store: Store, item: Entry, expected: int) -> None:
    try:
        await store.append("k", item, expected)
    except StaleJournalError:
        pass
    else:
        raise AssertionError("an append to the wrong place, or of an event that stands, must raise StaleJournalError")
