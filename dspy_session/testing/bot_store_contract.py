"""The contracts of what a bot needs of a store besides journals: leases, an inbox, an outbox."""

from __future__ import annotations

import asyncio

from dspy_session.errors import StaleJournalError
from dspy_session.stores import Arrival, Commit, Delivery, Entry, Forget, PostedTurn, Posting, Settled, Settlement
from dspy_session.testing.store_contract import MakeStore, opened, refused, say, turn, whole

LEASE = 30.0


def message(event_id: str, key: str = "k", sent_at: float = 1.0, author: str = "ann") -> Arrival:
    """A message that came in."""
    return Arrival(key, event_id, f'{{"text":"{event_id}"}}', sent_at, 2.0, author)


def delivery(number: int, sink: str = "s") -> Delivery:
    """A delivery that can be told from others."""
    return Delivery(sink, f"d{number}", f"body {number}".encode(), 100.0 + number)


class LeaseContract:
    """What ``Leases`` promise."""

    async def test_a_conversation_has_one_holder(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            lease = await store.acquire("k", "one", LEASE)
            assert lease is not None
            assert (lease.key, lease.owner) == ("k", "one")
            assert await store.acquire("k", "two", LEASE) is None
            assert await store.acquire("other", "two", LEASE) is not None
            await store.release(lease)
            assert await store.acquire("k", "two", LEASE) is not None

    async def test_fences_rise_and_an_older_one_writes_nothing(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            old = await store.acquire("k", "one", 0.0)
            new = await store.acquire("k", "two", LEASE)
            assert new.fence > old.fence
            commit = Commit(key="k", expected=0, entries=[turn(0)], marks={"turn:": 0}, lease=old)
            assert await refused(store, commit)
            assert await whole(store, "k") == []
            assert list(await store.renew([old, new], LEASE)) == [new]
            await store.release(old)  # it is not theirs to give
            assert await store.acquire("k", "three", LEASE) is None
            await say(store, "k", lease=new)

    async def test_a_lease_that_is_renewed_goes_on(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            lease = await store.acquire("k", "one", 0.0)
            assert list(await store.renew([lease], LEASE)) == [lease]  # nobody took it meanwhile
            assert await store.acquire("k", "two", LEASE) is None
            await say(store, "k", lease=lease)

    async def test_forgetting_takes_a_conversation_away(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            for key, forget in (("k", Forget(key="k")), ("m", Forget(author="ann"))):
                await store.receive(message("e1", key))
                lease = await store.acquire(key, "one", LEASE)
                await store.forget(forget)
                commit = Commit(key=key, expected=0, entries=[turn(0)], marks={"turn:": 0}, lease=lease)
                assert await refused(store, commit)
                assert await whole(store, key) == []

    async def test_a_conversation_that_is_worked_on_is_not_forgotten_for_its_age(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await say(store, "k", 3)
            lease = await store.acquire("k", "one", LEASE)
            assert await store.forget(Forget(before=1500.0)) == 0
            await say(store, "k", lease=lease)
            assert await store.forget(Forget(before=1002.5)) == 0
            await say(store, "k", lease=lease)
            await store.release(lease)
            assert await store.forget(Forget(before=1002.5)) == 1
            kinds = [entry.kind for entry in await whole(store, "k")]
            assert kinds == ["forgotten", "forgotten", "forgotten", "turn", "turn", "forgotten"]

    async def test_many_ask_and_one_gets_it(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            got = await asyncio.gather(*(store.acquire("k", f"o{number}", LEASE) for number in range(20)))
            assert sum(lease is not None for lease in got) == 1

    async def test_a_lease_knows_whether_others_can_have_written(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await say(store, "k", 3)
            lease = await store.acquire("k", "one", LEASE)
            assert lease.length in (None, 3)


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


class OutboxContract:
    """What an ``Outbox`` promises."""

    async def test_deliveries_are_claimed_in_order_and_gone_when_made(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            assert await store.claim("s", 10, LEASE) is None
            assert await store.due("s") is None
            await say(store, "k", deliveries=[delivery(1), delivery(2)])
            await say(store, "k", deliveries=[delivery(3)])
            assert await store.due("s") == 0.0
            batch = await store.claim("s", 2, LEASE)
            assert (batch.sink, batch.key, batch.attempt) == ("s", "k", 1)
            assert list(batch.deliveries) == [delivery(1), delivery(2)]
            assert await store.claim("s", 2, LEASE) is None  # the lane is taken
            assert await store.settle(batch, Settlement("delivered"))
            batch = await store.claim("s", 2, LEASE)
            assert list(batch.deliveries) == [delivery(3)]
            assert await store.settle(batch, Settlement("delivered"))
            assert await store.claim("s", 2, LEASE) is None
            assert list(await store.lanes()) == []

    async def test_a_refused_commit_delivers_nothing(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            commit = Commit(key="k", expected=7, entries=[turn(0)], marks={}, deliveries=[delivery(1)])
            assert await refused(store, commit)
            assert await store.claim("s", 1, LEASE) is None

    async def test_conversations_and_sinks_are_served_side_by_side(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await say(store, "a", deliveries=[delivery(1), delivery(2, "t")])
            await say(store, "b", deliveries=[delivery(3)])
            first, second = await store.claim("s", 1, LEASE), await store.claim("s", 1, LEASE)
            assert {first.key, second.key} == {"a", "b"}
            assert (await store.claim("t", 1, LEASE)).key == "a"

    async def test_a_lane_that_failed_waits_and_the_others_do_not(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await say(store, "a", deliveries=[delivery(1)])
            batch = await store.claim("s", 1, LEASE)
            assert await store.settle(batch, Settlement("retry", delay=1000.0, reason="HTTP 500"))
            assert await store.claim("s", 1, LEASE) is None
            assert 900 < await store.due("s") <= 1000
            await say(store, "b", deliveries=[delivery(2)])
            assert (await store.claim("s", 1, LEASE)).key == "b"
            (lane,) = [lane for lane in await store.lanes("s") if lane.key == "a"]
            assert (lane.waiting, lane.oldest_at, lane.attempts, lane.reason) == (1, 101.0, 1, "HTTP 500")
            assert lane.due_at is not None

    async def test_an_attempt_counts_up_until_one_works(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await say(store, "k", deliveries=[delivery(1), delivery(2)])
            for attempt in (1, 2, 3):
                batch = await store.claim("s", 1, LEASE)
                assert batch.attempt == attempt
                await store.settle(batch, Settlement("retry"))
            await store.settle(await store.claim("s", 1, LEASE), Settlement("delivered"))
            batch = await store.claim("s", 1, LEASE)
            assert (batch.attempt, list(batch.deliveries)) == (1, [delivery(2)])

    async def test_a_parked_lane_stands_still_until_it_is_resumed(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await say(store, "k", deliveries=[delivery(1)])
            await store.settle(await store.claim("s", 1, LEASE), Settlement("parked", reason="HTTP 500"))
            await say(store, "k", deliveries=[delivery(2)])
            assert await store.claim("s", 1, LEASE) is None
            assert await store.due("s") is None
            (lane,) = await store.lanes()
            assert (lane.waiting, lane.due_at) == (2, None)
            assert await store.resume("s", "other") == 0
            assert await store.resume("s") == 1
            batch = await store.claim("s", 5, LEASE)
            assert (batch.attempt, list(batch.deliveries)) == (1, [delivery(1), delivery(2)])

    async def test_a_sink_that_is_held_gets_nothing(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await say(store, "a", deliveries=[delivery(1)])
            await say(store, "b", deliveries=[delivery(2), delivery(3, "t")])
            await store.settle(await store.claim("s", 1, LEASE), Settlement("retry", hold=1000.0))
            assert await store.claim("s", 1, LEASE) is None
            assert 900 < await store.due("s") <= 1000
            assert await store.claim("t", 1, LEASE) is not None

    async def test_a_disabled_sink_is_told_nothing_more_until_it_is_resumed(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await say(store, "a", deliveries=[delivery(1)])
            await say(store, "b", deliveries=[delivery(2), delivery(3, "t")])
            await store.settle(await store.claim("s", 1, LEASE), Settlement("disabled", reason="HTTP 410"))
            await say(store, "c", deliveries=[delivery(4)])
            assert [lane.sink for lane in await store.lanes()] == ["t"]
            await store.resume("s")
            await say(store, "c", deliveries=[delivery(5)])
            assert list((await store.claim("s", 5, LEASE)).deliveries) == [delivery(5)]

    async def test_a_claim_that_ran_out_is_claimed_anew_and_settles_nothing(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await say(store, "k", deliveries=[delivery(1)])
            slow = await store.claim("s", 1, 0.0)
            again = await store.claim("s", 1, LEASE)
            assert again.fence > slow.fence
            assert list(again.deliveries) == [delivery(1)]
            assert not await store.settle(slow, Settlement("delivered"))
            assert await store.settle(again, Settlement("delivered"))
            assert not await store.settle(again, Settlement("delivered"))

    async def test_a_late_answer_counts_while_nobody_else_claimed(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await say(store, "k", deliveries=[delivery(1)])
            slow = await store.claim("s", 1, 0.0)
            assert await store.settle(slow, Settlement("delivered"))
            assert await store.claim("s", 1, LEASE) is None

    async def test_deliveries_may_be_added_without_a_change(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await store.enqueue("k", [delivery(1), delivery(2)])
            assert list((await store.claim("s", 5, LEASE)).deliveries) == [delivery(1), delivery(2)]

    async def test_that_a_conversation_was_forgotten_can_be_told_in_the_same_breath(
        self, make_store: MakeStore
    ) -> None:
        async with opened(make_store) as store:
            await say(store, "k", deliveries=[delivery(1)])
            await store.forget(Forget(key="k", deliveries=[delivery(2)]))
            batch = await store.claim("s", 5, LEASE)
            assert (batch.key, list(batch.deliveries)) == ("k", [delivery(2)])

    async def test_forgetting_leaves_no_delivery(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await say(store, "k", deliveries=[delivery(1)])
            by_ann = [turn(0, None, "ann")]
            await store.commit(Commit(key="m", expected=0, entries=by_ann, marks={}, deliveries=[delivery(2)]))
            await store.commit(Commit(key="m", expected=1, entries=[turn(1)], marks={}, deliveries=[delivery(3)]))
            claimed = await store.claim("s", 5, LEASE)
            await store.forget(Forget(key="k"))
            await store.forget(Forget(author="ann"))
            assert [(lane.key, lane.waiting) for lane in await store.lanes()] == [("m", 1)]
            await store.settle(claimed, Settlement("delivered"))
            batch = await store.claim("s", 5, LEASE)
            assert (batch.key, list(batch.deliveries)) == ("m", [delivery(3)])

    async def test_what_was_said_of_a_forgotten_turn_is_not_delivered_either(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            said = (turn(0, None, "ann"), Entry("edit", "{}", 1.0, None, 0), Entry("score", "{}", 1.0, None, 0, "bob"))
            for number, entry in enumerate((*said, turn(3, 0, "bob"))):
                commit = Commit(key="k", expected=number, entries=[entry], marks={}, deliveries=[delivery(number)])
                await store.commit(commit)
            await store.enqueue("k", [delivery(0)])  # told again
            await store.forget(Forget(author="ann"))
            assert list((await store.claim("s", 9, LEASE)).deliveries) == [delivery(3)]

    async def test_what_is_too_old_is_not_delivered_any_more(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await say(store, "k", deliveries=[delivery(1)])
            await say(store, "k", deliveries=[delivery(2)])
            await store.forget(Forget(before=1000.5))
            assert list((await store.claim("s", 9, LEASE)).deliveries) == [delivery(2)]

    async def test_a_claim_from_before_all_was_forgotten_settles_nothing_afterwards(
        self, make_store: MakeStore
    ) -> None:
        async with opened(make_store) as store:
            await store.enqueue("k", [delivery(1)])
            old = await store.claim("s", 1, LEASE)
            await store.forget(Forget(key="k"))
            await store.enqueue("k", [delivery(2)])
            new = await store.claim("s", 1, LEASE)
            assert not await store.settle(old, Settlement("retry"))
            assert await store.claim("s", 1, LEASE) is None
            assert await store.settle(new, Settlement("delivered"))
