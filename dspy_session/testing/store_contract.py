"""The contracts of a store, as tests.

Subclass them in a test module of yours, with a fixture ``make_store`` that returns a function making a store over the
same place each time::

    class TestMyStore(StoreContract):
        @pytest.fixture
        def make_store(self, tmp_path):
            return lambda: MyStore(tmp_path / "conversations")

``StoreContract`` is what ``Conversations`` needs; ``LeaseContract``, ``InboxContract`` and ``OutboxContract`` are what
a bot needs besides. Needs pytest with pytest-asyncio in its auto mode.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from dspy_session.errors import StaleJournalError, StoreError
from dspy_session.stores import SHARED, Commit, Entry, Forget, Journal, Settled, Store

MakeStore = Callable[[], Any]

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


def turn(number: int, previous: int | None = None, author: str = "") -> Entry:
    """An entry that can be told from others."""
    body = f'{{"number":{number},"text":"ä \\ud83d\\ude00 \'\\""}}'
    return Entry("turn", body, 1000.0 + number, previous, None, author)


def chain(count: int, start: int = 0) -> list[Entry]:
    """Entries that follow one another, from the number ``start`` on."""
    return [turn(start + place, start + place - 1 if start + place else None) for place in range(count)]


@asynccontextmanager
async def opened(make_store: MakeStore) -> AsyncIterator[Any]:
    """A store for the time of a block."""
    store = make_store()
    await store.open()
    try:
        yield store
    finally:
        await store.aclose()


async def say(store: Store, key: str, count: int = 1, **also: Any) -> None:
    """Add ``count`` turns to a conversation, in one commit."""
    length = (await store.read(key, 1)).length
    entries = chain(count, length)
    await store.commit(Commit(key=key, expected=length, entries=entries, marks={"turn:": length + count - 1}, **also))


async def refused(store: Store, commit: Commit) -> bool:
    """True when the store refuses a commit as stale."""
    try:
        await store.commit(commit)
    except StaleJournalError:
        return True
    return False


async def complaint(reading: Awaitable[Any]) -> str:
    """What a store complains of; empty when it does not."""
    try:
        await reading
    except StoreError as error:
        return str(error)
    return ""


async def whole(store: Store, key: str) -> Sequence[Entry]:
    """Every entry of a conversation."""
    return [entry async for entry in store.entries(key)]


class StoreContract:
    """What every store must do.

    Attributes:
        durable: False for a store that may forget when it is closed.
    """

    durable = True

    async def test_a_conversation_that_nobody_wrote_to_is_empty(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            assert await store.read("nobody") == Journal()
            assert await whole(store, "nobody") == []
            assert list(await store.list()) == []

    async def test_entries_come_back_equal_and_in_order(self, make_store: MakeStore) -> None:
        entries = [
            *chain(20),
            Entry("score", '{"score":1.0}', 1020.5, None, 7, "U1"),
            Entry("undo", "{}", 1021.25),
        ]
        async with opened(make_store) as store:
            await store.commit(Commit(key="k", expected=0, entries=entries[:5], marks={"turn:": 4}))
            await store.commit(Commit(key="k", expected=5, entries=entries[5:], marks={"turn:": 18, "seed:": 3}))
            assert await whole(store, "k") == entries
            journal = await store.read("k")
            assert (journal.length, dict(journal.marks)) == (22, {"turn:": 18, "seed:": 3})
            assert dict(journal.entries) == {number: entries[number] for number in (*range(19), 20)}

    async def test_a_chain_is_read_as_deep_as_is_asked_for(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await say(store, "k", 50)
            for depth in (1, 3, 50, 1000):
                journal = await store.read("k", depth)
                assert sorted(journal.entries) == list(range(max(0, 50 - depth), 50))
                assert journal.length == 50

    async def test_a_mark_may_go_back_and_what_it_left_stays(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await say(store, "k", 5)
            await store.commit(Commit(key="k", expected=5, entries=[Entry("undo", "{}", 1.0)], marks={"turn:": 2}))
            other = turn(6, 2)
            await store.commit(Commit(key="k", expected=6, entries=[other], marks={"turn:": 6}))
            journal = await store.read("k")
            assert sorted(journal.entries) == [0, 1, 2, 6]
            assert len(await whole(store, "k")) == 7

    async def test_a_torn_chain_is_not_taken_for_a_short_one(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            torn = Commit(key="k", expected=0, entries=[turn(0), turn(1, 7)], marks={"turn:": 1})
            await store.commit(torn)
            assert len((await store.read("k", 1)).entries) == 1
            for depth in (2, None):
                assert "entry 7 is missing" in await complaint(store.read("k", depth))

    async def test_what_is_said_of_an_entry_is_read_with_it(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await say(store, "k", 10)
            for about in (1, 8, 8):
                length = (await store.read("k", 1)).length
                score = Entry("score", f'{{"score":{length}}}', 1.0, None, about)
                await store.commit(Commit(key="k", expected=length, entries=[score], marks={"turn:": 9}))
            assert sorted((await store.read("k", 2)).entries) == [8, 9, 11, 12]
            assert sorted((await store.read("k")).entries) == [*range(10), 10, 11, 12]

    async def test_keys_are_told_apart_whatever_stands_in_them(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            for number, key in enumerate(HOSTILE_KEYS):
                await store.commit(Commit(key=key, expected=0, entries=[turn(number)], marks={"turn:": 0}))
            for number, key in enumerate(HOSTILE_KEYS):
                assert await whole(store, key) == [turn(number)]
            assert {info.key for info in await store.list()} == set(HOSTILE_KEYS)

    async def test_a_stale_writer_writes_nothing(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await say(store, "k")
            for expected in (0, 2, 17):
                commit = Commit(key="k", expected=expected, entries=[turn(1)], marks={"turn:": 1})
                assert await refused(store, commit)
            assert await refused(store, Commit(key="nobody", expected=3, entries=[turn(1)]))
            assert await whole(store, "k") == chain(1)

    async def test_of_many_writers_at_one_place_one_wins(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            for expected in (0, 1):
                commits = [
                    Commit(key="k", expected=expected, entries=[turn(number)], marks={"turn:": expected})
                    for number in range(20)
                ]
                lost = await asyncio.gather(*(refused(store, commit) for commit in commits))
                assert lost.count(False) == 1
            assert len(await whole(store, "k")) == 2

    async def test_many_conversations_grow_side_by_side(self, make_store: MakeStore) -> None:
        async def fill(store: Store, key: str) -> None:
            for _ in range(5):
                await say(store, key)

        async with opened(make_store) as store:
            await asyncio.gather(*(fill(store, f"k{number}") for number in range(30)))
            for number in range(30):
                assert await whole(store, f"k{number}") == chain(5)

    async def test_the_list_shows_the_newest_first(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await store.commit(Commit(key="slack:old", expected=0, entries=[turn(1), turn(2)], marks={}))
            await store.commit(Commit(key="discord:new", expected=0, entries=[turn(3)], marks={}))
            await store.commit(Commit(key="slack:old", expected=2, entries=[turn(4)], marks={}))
            infos = await store.list()
            assert [info.key for info in infos] == ["slack:old", "discord:new"]
            assert (infos[0].entries, infos[0].created_at, infos[0].updated_at) == (3, 1001.0, 1004.0)
            assert [info.key for info in await store.list("disc")] == ["discord:new"]
            assert list(await store.list("%")) == []

    async def test_a_cancelled_writer_leaves_all_or_nothing(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            writers = [asyncio.create_task(say(store, f"k{number}", 2)) for number in range(50)]
            await asyncio.sleep(0)
            for writer in writers[::2]:
                writer.cancel()
            await asyncio.gather(*writers, return_exceptions=True)
            for number in range(50):
                journal = await whole(store, f"k{number}")
                assert journal in ([], chain(2))
                if number % 2:
                    assert journal
                await say(store, f"k{number}")

    async def test_what_was_committed_stands_after_a_restart(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await say(store, "k", 3)
        if not self.durable:
            return
        async with opened(make_store) as store:
            assert await whole(store, "k") == chain(3)
            assert (await store.read("k")).marks == {"turn:": 2}
            await say(store, "k")

    async def test_closing_twice_does_no_harm(self, make_store: MakeStore) -> None:
        store = make_store()
        await store.open()
        await store.aclose()
        await store.aclose()

    # --- forgetting ---------------------------------------------------------------------------------------------------

    async def test_a_forgotten_conversation_is_gone_and_may_begin_again(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await say(store, "k", 3)
            await say(store, "other", 2)
            assert await store.forget(Forget(key="k")) == 1
            assert await store.read("k") == Journal()
            assert await store.forget(Forget(key="nobody")) == 0
            assert await whole(store, "other") == chain(2)
            assert [info.key for info in await store.list()] == ["other"]
            assert await refused(store, Commit(key="k", expected=3, entries=[turn(3, 2)], marks={"turn:": 3}))
            await say(store, "k")
            assert await whole(store, "k") == chain(1)

    async def test_a_forgotten_authors_words_are_gone_and_the_others_stay(self, make_store: MakeStore) -> None:
        entries = [turn(0), turn(1, 0, "ann"), turn(2, 1, "bob"), Entry("score", "{}", 5.0, None, 1, "bob")]
        async with opened(make_store) as store:
            await store.commit(Commit(key="k", expected=0, entries=entries, marks={"turn:": 2}))
            await say(store, "other", 2)
            assert await store.forget(Forget(author="ann")) == 1
            found = await whole(store, "k")
            assert [entry.kind for entry in found] == ["turn", "forgotten", "turn", "forgotten", "forgotten"]
            assert found[0] == entries[0]
            assert found[1] == Entry("forgotten", "{}", 1001.0, 0)
            assert found[2] == entries[2]
            assert (found[3].body, found[3].author) == ("{}", "")
            journal = await store.read("k")
            assert sorted(journal.entries) == [0, 1, 2]
            assert journal.length == 5
            assert await refused(store, Commit(key="k", expected=4, entries=[turn(4, 2)], marks={"turn:": 4}))
            assert await whole(store, "other") == chain(2)

    async def test_what_several_said_goes_with_each_of_them(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            for key in ("bob", "ann", "dan"):  # whoever is to be forgotten there; the others have names of their own
                bob, ann, cay = (name if name == key else f"{key}-{name}" for name in ("bob", "ann", "cay"))
                shared = [Entry(SHARED, "{}", 5.0, None, 1, user) for user in (bob, cay)]
                entries = [turn(0, None, cay), turn(1, 0, ann), *shared, turn(4, 1), Entry("score", "{}", 6.0, None, 1)]
                await store.commit(Commit(key=key, expected=0, entries=entries, marks={"turn:": 4}))
            gone = ["turn", "forgotten", "forgotten", "forgotten", "turn", "forgotten", "forgotten"]
            for key in ("bob", "ann"):
                assert await store.forget(Forget(author=key)) == 1
                assert [entry.kind for entry in await whole(store, key)] == gone
            stays = ["turn", "turn", "shared", "shared", "turn", "score"]
            assert [entry.kind for entry in await whole(store, "dan")] == stays

    async def test_single_entries_are_forgotten_with_what_was_said_of_them(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await say(store, "k", 3)
            await say(store, "other", 3)
            score = Entry("score", '{"score":1.0}', 1004.0, None, 1)
            await store.commit(Commit(key="k", expected=3, entries=[score], marks={"turn:": 2}))
            assert await store.forget(Forget(key="k", numbers=[1])) == 1
            entries = await whole(store, "k")
            assert [entry.kind for entry in entries] == ["turn", "forgotten", "turn", "forgotten", "forgotten"]
            assert (entries[1].body, entries[1].previous, entries[1].at) == ("{}", 0, 1001.0)
            assert (await store.read("k")).marks == {"turn:": 2}
            assert [entry.kind for entry in await whole(store, "other")] == ["turn"] * 3
            assert await store.forget(Forget(key="nobody", numbers=[0])) == 0

    async def test_a_commit_takes_back_what_was_said_before_or_does_nothing(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await say(store, "k", 3)
            await say(store, "other", 3)
            score = Entry("score", '{"score":1.0}', 1004.0, None, 1)
            await store.commit(Commit(key="k", expected=3, entries=[score], marks={"turn:": 2}))
            before = await whole(store, "k")
            instead = Entry("turn", '{"text":"instead"}', before[0].at)
            taking_back = Commit(
                key="k",
                expected=4,
                entries=[Entry("note", "{}", 1005.0)],
                marks={"turn:": 2},
                forgets=[1],
                rewrites={0: instead},
            )
            assert await refused(store, replace(taking_back, expected=3))
            assert await whole(store, "k") == before
            await store.commit(taking_back)
            entries = await whole(store, "k")
            assert [entry.kind for entry in entries] == ["turn", "forgotten", "turn", "forgotten", "note"]
            assert entries[:2] == [instead, Entry("forgotten", "{}", 1001.0, 0)]
            assert entries[2] == before[2]
            assert sorted((await store.read("k")).entries) == [0, 1, 2]
            assert await whole(store, "other") == chain(3)

    async def test_what_is_old_is_forgotten(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await store.commit(Commit(key="idle", expected=0, entries=[turn(1)], marks={"turn:": 0}))
            live = [Entry("seed", '{"messages":[]}', 1.0), turn(2), turn(900, 1)]
            await store.commit(Commit(key="live", expected=0, entries=live, marks={"turn:": 2, "seed:": 0}))
            assert await store.forget(Forget(before=1500.0)) == 2
            assert [info.key for info in await store.list()] == ["live"]
            found = await whole(store, "live")
            assert [entry.kind for entry in found] == ["seed", "forgotten", "turn", "forgotten"]
            assert await store.forget(Forget(before=1500.0)) == 0

    # --- messages without an inbox ------------------------------------------------------------------------------------

    async def test_a_message_is_settled_once(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await say(store, "k", settled=Settled("e1"))
            again = Commit(key="k", expected=1, entries=[turn(1, 0)], marks={"turn:": 1}, settled=Settled("e1"))
            assert await refused(store, again)
            assert len(await whole(store, "k")) == 1
            await say(store, "other", settled=Settled("e1"))
            await say(store, "k", settled=Settled("e2"))
