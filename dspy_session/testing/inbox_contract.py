"""The contracts of a store that keeps messages until they are answered, and finds what people react to."""

from __future__ import annotations

import asyncio

from dspy_session.errors import StaleJournalError
from dspy_session.stores import Arrival, Commit, Forget, PostedTurn, Posting, Settled
from dspy_session.testing.store_contract import MakeStore, opened, refused, say, turn, whole

LEASE = 30.0
"""Seconds for which the contracts take a conversation."""


def message(event_id: str, key: str = "k", sent_at: float = 1.0, author: str = "ann") -> Arrival:
    """A message that came in."""
    return Arrival(key, event_id, f'{{"text":"{event_id}"}}', sent_at, 2.0, author)


class InboxContract:
    """What an ``Inbox`` promises.

    Attributes:
        durable: False for a store that may forget when it is closed.
    """

    durable = True

    async def test_a_message_is_kept_once(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            assert await store.receive(message("e1"))
            assert not await store.receive(message("e1"))
            assert await store.receive(message("e1", "other"))
            took = await asyncio.gather(*(store.receive(message("e2")) for _ in range(10)))
            assert took.count(True) == 1
            assert sorted(await store.waiting(10)) == ["k", "other"]
            assert list(await store.waiting(1)) == ["k"]

    async def test_messages_are_taken_by_the_time_they_were_sent(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            for event_id, sent_at in (("late", 9.0), ("early", 1.0), ("middle", 5.0), ("middle too", 5.0)):
                await store.receive(message(event_id, sent_at=sent_at))
            lease = await store.acquire("k", "one", LEASE)
            taken = []
            while (work := await store.take(lease)) is not None:
                taken.append(work.arrival.event_id)
                settled = Settled(work.arrival.event_id, received=True)
                await store.commit(Commit(key="k", expected=0, lease=lease, settled=settled))
            assert taken == ["early", "middle", "middle too", "late"]

    async def test_a_message_goes_from_waiting_to_answered_to_done(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await store.receive(message("e1"))
            assert list(await store.waiting(10)) == ["k"]
            lease = await store.acquire("k", "one", LEASE)
            assert list(await store.waiting(10)) == []  # somebody works on it
            work = await store.take(lease)
            assert (work.arrival, work.attempts, work.reply) == (message("e1"), 1, "")
            assert (await store.take(lease)).attempts == 2
            assert not await store.knows("k", "e1")

            await say(store, "k", lease=lease, settled=Settled("e1", "the reply", received=True))
            assert await store.knows("k", "e1")
            work = await store.take(lease)
            assert (work.arrival.event_id, work.arrival.payload, work.reply) == ("e1", '{"text":"e1"}', "the reply")
            assert work.attempts == 1

            await store.posted(lease, Posting("e1", ("m1", "m2")))
            assert await store.take(lease) is None
            await store.release(lease)
            assert list(await store.waiting(10)) == []
            assert await store.knows("k", "e1")
            assert not await store.receive(message("e1"))  # days later

    async def test_answers_are_posted_before_messages_are_answered(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await store.receive(message("e2", sent_at=1.0))
            await store.receive(message("e1", sent_at=5.0))
            lease = await store.acquire("k", "one", LEASE)
            await say(store, "k", lease=lease, settled=Settled("e1", "reply", received=True))
            assert (await store.take(lease)).arrival.event_id == "e1"

    async def test_a_message_without_an_answer_is_done(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await store.receive(message("e1"))
            lease = await store.acquire("k", "one", LEASE)
            await say(store, "k", lease=lease, settled=Settled("e1", received=True))
            assert await store.take(lease) is None
            assert await store.knows("k", "e1")

    async def test_a_message_is_settled_by_one_commit(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await store.receive(message("e1"))
            await say(store, "k", settled=Settled("e1", "reply", received=True))
            again = Settled("e1", "another", received=True)
            assert await refused(store, Commit(key="k", expected=1, entries=[turn(1, 0)], marks={}, settled=again))
            unknown = Settled("e9", "reply", received=True)
            assert await refused(store, Commit(key="k", expected=1, entries=[turn(1, 0)], marks={}, settled=unknown))
            assert len(await whole(store, "k")) == 1

    async def test_who_lost_the_lease_takes_and_posts_nothing(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await store.receive(message("e1"))
            old = await store.acquire("k", "one", 0.0)
            new = await store.acquire("k", "two", LEASE)
            await say(store, "k", lease=new, settled=Settled("e1", "reply", received=True))
            for attempt in (store.take(old), store.posted(old, Posting("e1"))):
                try:
                    await attempt
                except StaleJournalError:
                    continue
                raise AssertionError("a lease that was taken over must raise StaleJournalError")
            assert (await store.take(new)).reply == "reply"

    async def test_what_was_received_is_there_after_a_restart(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await store.receive(message("e1"))
            await store.receive(message("e2"))
            lease = await store.acquire("k", "one", 0.0)
            await say(store, "k", settled=Settled("e1", "reply", received=True))
            await store.release(lease)
        if not self.durable:
            return
        async with opened(make_store) as store:
            assert list(await store.waiting(10)) == ["k"]
            lease = await store.acquire("k", "two", LEASE)
            assert (await store.take(lease)).reply == "reply"

    async def test_one_commit_answers_several_messages(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            for event_id in ("e1", "e2", "e3"):
                await store.receive(message(event_id))
            lease = await store.acquire("k", "one", LEASE)
            settled = Settled("e2", "reply to both", received=True)
            both = Commit(key="k", expected=0, entries=[turn(0)], marks={"turn:": 0}, settled=settled, also=["e1"])
            await store.commit(both)
            assert (await store.take(lease)).reply == "reply to both"
            assert await store.knows("k", "e1")
            assert [arrival.event_id for arrival in await store.pending("k")] == ["e3"]
            for also in (["e3", "e1"], ["e9"]):
                again = Commit(key="k", expected=1, entries=[turn(1, 0)], marks={"turn:": 1}, also=also)
                assert await refused(store, again)
            assert len(await whole(store, "k")) == 1
            assert [arrival.event_id for arrival in await store.pending("k")] == ["e3"]

    async def test_what_waits_is_told_by_the_time_it_was_sent(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            assert list(await store.pending("k")) == []
            for event_id, sent_at in (("late", 9.0), ("early", 1.0), ("middle", 5.0)):
                await store.receive(message(event_id, sent_at=sent_at))
            await store.receive(message("elsewhere", "other"))
            assert list(await store.pending("k")) == [
                message("early", sent_at=1.0),
                message("middle", sent_at=5.0),
                message("late", sent_at=9.0),
            ]

    async def test_a_part_of_an_answer_is_known_at_the_next_try(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await store.receive(message("e1"))
            lease = await store.acquire("k", "one", LEASE)
            assert (await store.take(lease)).shown == ()
            await store.posted(lease, Posting("e1", ("m1",), done=False))
            work = await store.take(lease)
            assert (work.shown, work.reply) == (("m1",), "")
            await say(store, "k", lease=lease, settled=Settled("e1", "reply", received=True))
            work = await store.take(lease)
            assert (work.shown, work.reply) == (("m1",), "reply")
            await store.posted(lease, Posting("e1", ("m1", "m2")))
            assert await store.take(lease) is None

    async def test_what_shows_a_part_of_an_answer_is_written_down_with_it(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            for event_id in ("e1", "e2", "e3"):
                await store.receive(message(event_id))
            lease = await store.acquire("k", "one", LEASE)
            await store.posted(lease, Posting("e1", ("m1",), done=False))
            await store.posted(lease, Posting("e2", ("m0",), done=False))
            settled = Settled("e2", "reply to both", received=True, shown=("m1", "m2"))
            await say(store, "k", lease=lease, settled=settled, also=["e1"])
            assert (await store.take(lease)).shown == ("m1", "m2")
            await store.posted(lease, Posting("e2", ("m1", "m2")))
            await store.posted(lease, Posting("e3", ("m3",), done=False))
            await say(store, "k", lease=lease, settled=Settled("e3", "reply", received=True))
            assert (await store.take(lease)).shown == ("m3",)  # as it was known

    async def test_news_wakes_whoever_waits_for_it(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            waiting = asyncio.create_task(store.changed(20.0))
            await asyncio.sleep(0)
            await store.receive(message("e1"))
            async with asyncio.timeout(10):
                await waiting
            await store.changed(0.01)  # and returns by itself

    async def test_forgetting_leaves_no_message(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await store.receive(message("e1", "k"))
            await store.receive(message("e2", "m", author="ann"))
            await store.receive(message("e3", "m", author="bob"))
            await store.forget(Forget(key="k"))
            await store.forget(Forget(author="ann"))
            assert list(await store.waiting(10)) == ["m"]
            lease = await store.acquire("m", "one", LEASE)
            assert (await store.take(lease)).arrival.event_id == "e3"
            assert await store.receive(message("e1", "k"))  # not even its id is known

    async def test_a_forgotten_authors_message_is_not_answered_when_it_comes_again(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await store.receive(message("e1", author="ann"))
            assert await store.forget(Forget(author="ann")) == 1
            assert await store.knows("k", "e1")
            assert not await store.receive(message("e1", author="ann"))
            assert await store.forget(Forget(author="ann")) == 0

    async def test_a_message_that_was_answered_without_words_stays_known(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await store.commit(Commit(key="k", expected=0, settled=Settled("e1")))
            await store.forget(Forget(before=1500.0))
            assert await store.knows("k", "e1")

    async def test_a_conversation_with_messages_that_wait_is_not_forgotten_for_its_age(
        self, make_store: MakeStore
    ) -> None:
        async with opened(make_store) as store:
            await say(store, "k")
            await store.receive(message("e1"))
            await store.forget(Forget(before=1500.0))
            lease = await store.acquire("k", "one", LEASE)
            assert (await store.take(lease)).arrival.event_id == "e1"

    async def test_old_messages_are_forgotten_once_they_are_done(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await store.receive(message("e1"))
            await store.receive(message("e2"))
            await say(store, "k", settled=Settled("e1", received=True))
            await store.forget(Forget(before=100.0))
            assert not await store.knows("k", "e1")
            lease = await store.acquire("k", "one", LEASE)
            assert (await store.take(lease)).arrival.event_id == "e2"


class PostsContract:
    """What ``Posts`` promise."""

    async def test_a_post_leads_to_its_turn(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await store.receive(message("e1"))
            lease = await store.acquire("k", "one", LEASE)
            await say(store, "k", lease=lease, settled=Settled("e1", "reply", received=True))
            await store.posted(lease, Posting("e1", ("m1",), "t1", "slack:T1", done=False))
            await store.posted(lease, Posting("e1", ("m1", "m2"), "t1", "slack:T1"))
            for message_id in ("m1", "m2"):
                assert await store.posted_as("slack:T1", message_id) == PostedTurn("k", "t1")
            assert await store.posted_as("slack:T2", "m1") is None  # an id of another workspace
            assert await store.posted_as("slack:T1", "m3") is None

    async def test_words_of_no_turn_lead_nowhere(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await store.receive(message("e1"))
            lease = await store.acquire("k", "one", LEASE)
            await say(store, "k", lease=lease, settled=Settled("e1", "reply", received=True))
            await store.posted(lease, Posting("e1", ("m1",), "", "slack:T1"))
            assert await store.posted_as("slack:T1", "m1") is None

    async def test_forgetting_a_conversation_forgets_its_posts(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            for key in ("k", "other"):
                await store.receive(message("e1", key))
                lease = await store.acquire(key, "one", LEASE)
                await say(store, key, lease=lease, settled=Settled("e1", "reply", received=True))
                await store.posted(lease, Posting("e1", (f"m {key}",), "t1", "slack:T1"))
            await store.forget(Forget(key="k"))
            assert await store.posted_as("slack:T1", "m k") is None
            assert await store.posted_as("slack:T1", "m other") is not None
            await store.forget(Forget(before=4e9))  # seconds since 1970: in the year 2096
            assert await store.posted_as("slack:T1", "m other") is None

    async def test_a_message_leads_to_the_conversations_that_it_came_to(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            assert list(await store.received_in("e1")) == []
            for key, event_id in (("k", "e1"), ("k", "e2"), ("other", "e1")):
                await store.receive(message(event_id, key))
            assert list(await store.received_in("e1")) == ["k", "other"]
            lease = await store.acquire("k", "one", LEASE)
            await say(store, "k", lease=lease, settled=Settled("e1", received=True))
            assert list(await store.received_in("e1")) == ["k", "other"]  # also when it is done
            await store.forget(Forget(key="k"))
            assert list(await store.received_in("e1")) == ["other"]
