"""The contract of a store that keeps what sinks are to be told until they were."""

from __future__ import annotations

from dspy_session.stores import Commit, Delivery, Entry, Forget, Settlement
from dspy_session.testing.inbox_contract import LEASE
from dspy_session.testing.store_contract import MakeStore, opened, refused, say, turn


def delivery(number: int, sink: str = "s") -> Delivery:
    """A delivery that can be told from others."""
    return Delivery(sink, f"d{number}", f"body {number}".encode(), 100.0 + number)


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

    async def test_what_a_commit_takes_back_is_not_delivered_either(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            for number in range(3):
                await say(store, "k", deliveries=[delivery(number)])
            await say(store, "k", deliveries=[delivery(3)], forgets=[0], rewrites={2: turn(9, 1)})
            assert list((await store.claim("s", 9, LEASE)).deliveries) == [delivery(1), delivery(3)]

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
