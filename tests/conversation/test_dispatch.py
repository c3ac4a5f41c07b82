"""The dispatcher over a real store, on a clock that stands still."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from collections import defaultdict

import pytest

from dspy_session.conversation import dispatch
from dspy_session.conversation.breaker import LIMIT
from dspy_session.conversation.dispatch import Dispatcher
from dspy_session.conversation.draining import LEASE_MARGIN
from dspy_session.errors import ConfigurationError, StoreError
from dspy_session.stores import SqliteStore
from dspy_session.stores.outgoing import Settlement
from tests.conversation.scripted_sink import DELIVERED, HANG, ScriptedSink, deliveries, retry
from tests.fake_clock import FakeClock

POLL = 100.0
"""Seconds; long, so that nothing in here happens because of it unless a test says so."""


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
async def store(clock):
    opened = SqliteStore(":memory:", clock=clock.time)
    await opened.open()
    yield opened
    await opened.aclose()


@pytest.fixture
async def start(store, clock):
    """Starts a dispatcher for some sinks, stops it after the test."""
    started = []

    async def start_one(*sinks, outbox=store, **options):
        dispatcher = Dispatcher(outbox, sinks, **{"clock": clock, "random": lambda: 0.0, "poll": POLL, **options})
        started.append(dispatcher)
        await dispatcher.open()
        return dispatcher

    yield start_one
    for dispatcher in started:
        await dispatcher.aclose(grace=0)


async def nothing_waits(store, clock):
    """Return when the outbox is empty; it is looked at whenever a dispatcher begins to wait."""
    async with asyncio.timeout(15):
        while await store.lanes():
            seen = clock.waits
            await clock.until(lambda seen=seen: clock.waits > seen)


# --- what is delivered --------------------------------------------------------------------------------------------


async def test_what_waits_is_delivered_in_order_and_settled(store, start):
    await store.enqueue("a", deliveries("crm", "1", "2", "3"))
    await store.enqueue("b", deliveries("crm", "4"))
    sink = ScriptedSink()
    dispatcher = await start(sink)
    await sink.until(lambda: len(sink.taken) == 4)
    await dispatcher.aclose()
    assert sink.told == {"a": ["1", "2", "3"], "b": ["4"]}
    assert await store.lanes() == []
    assert (sink.opened, sink.closed) == (1, 1)


async def test_what_comes_later_is_delivered_when_it_wakes(store, start, clock):
    sink = ScriptedSink()
    dispatcher = await start(sink)
    await clock.asleep_for(POLL)
    await store.enqueue("a", deliveries("crm", "1"))
    dispatcher.wake()
    await sink.until(lambda: sink.told["a"] == ["1"])
    assert clock.monotonic() == 0


async def test_what_others_wrote_is_found_without_being_woken(store, start, clock):
    sink = ScriptedSink()
    await start(sink)
    await clock.asleep_for(POLL)
    await store.enqueue("a", deliveries("crm", "1"))
    clock.advance(POLL)
    await sink.until(lambda: sink.told["a"] == ["1"])


async def test_a_batch_holds_as_many_as_the_sink_takes(store, start):
    await store.enqueue("a", deliveries("crm", *"12345"))
    sink = ScriptedSink(batch=2)
    dispatcher = await start(sink)
    await dispatcher.aclose()
    assert [[each.id for each in batch.deliveries] for batch in sink.taken] == [["1", "2"], ["3", "4"], ["5"]]


async def test_a_sink_gets_only_what_is_for_it(store, start):
    await store.enqueue("a", [*deliveries("crm", "1"), *deliveries("log", "2")])
    crm, log = ScriptedSink("crm"), ScriptedSink("log")
    dispatcher = await start(crm, log)
    await dispatcher.aclose()
    assert (crm.told, log.told) == ({"a": ["1"]}, {"a": ["2"]})


async def test_a_sink_that_hangs_delays_no_other(store, start):
    slow, quick = ScriptedSink("slow"), ScriptedSink("quick")
    slow.always(HANG)
    for number in range(20):
        key = f"c{number}"
        await store.enqueue(key, [*deliveries("slow", f"s{number}"), *deliveries("quick", f"q{number}")])
    await start(slow, quick)
    await quick.until(lambda: len(quick.told) == 20)
    assert len(slow.taken) == slow.concurrency
    assert slow.told == {}


async def test_no_more_at_once_than_the_sink_takes_and_one_in_each_conversation(store, start):
    gate = asyncio.Event()
    sink = ScriptedSink(concurrency=3)
    sink.always(gate)
    for key in "abcde":
        await store.enqueue(key, deliveries("crm", f"{key}1", f"{key}2"))
    dispatcher = await start(sink)
    await sink.until(lambda: len(sink.taken) == 3)
    assert len({batch.key for batch in sink.taken}) == 3
    gate.set()
    await dispatcher.aclose()
    assert sink.most == 3
    assert sink.told == {key: [f"{key}1", f"{key}2"] for key in "abcde"}


def test_sinks_are_told_apart_by_their_names(store):
    with pytest.raises(ConfigurationError, match="2 sinks have the name 'crm'"):
        Dispatcher(store, [ScriptedSink(), ScriptedSink("log"), ScriptedSink()])


# --- what fails ---------------------------------------------------------------------------------------------------


async def test_what_failed_comes_again_when_it_is_due_and_the_rest_waits_behind_it(store, start, clock):
    await store.enqueue("a", deliveries("crm", "1", "2"))
    sink = ScriptedSink()
    sink.behave(retry(5.0), retry(40.0))
    await start(sink)
    await clock.asleep_for(5.0)
    clock.advance(4.75)
    clock.advance(0.25)
    await clock.asleep_for(40.0)
    clock.advance(40)
    await sink.until(lambda: sink.told["a"] == ["1", "2"])
    assert [(batch.deliveries[0].id, batch.attempt) for batch in sink.taken] == [("1", 1), ("1", 2), ("1", 3), ("2", 1)]


async def test_a_sink_that_raises_is_tried_again(store, start, clock, caplog):
    await store.enqueue("a", deliveries("crm", "1"))
    sink = ScriptedSink()
    sink.behave(ZeroDivisionError("a mistake"))
    await start(sink)
    await clock.asleep_for(5.0)  # as Standard Webhooks has it
    [lane] = await store.lanes()
    assert (lane.attempts, lane.reason) == (1, "ZeroDivisionError")
    assert "sink crm: failed to deliver" in caplog.text
    assert "ZeroDivisionError: a mistake" in caplog.text
    clock.advance(5)
    await sink.until(lambda: sink.told["a"] == ["1"])


async def test_a_sink_that_returns_nothing_is_tried_again(store, start, clock, caplog):
    await store.enqueue("a", deliveries("crm", "1"))
    sink = ScriptedSink()
    sink.behave(None)
    await start(sink)
    await clock.asleep_for(5.0)
    assert "deliver must return a Settlement, not NoneType" in caplog.text


async def test_a_sink_that_takes_too_long_is_tried_again(store, start, clock):
    await store.enqueue("a", deliveries("crm", "1"))
    sink = ScriptedSink(timeout=0.05)
    sink.behave(HANG)
    await start(sink)
    await clock.asleep_for(5.0)
    assert [lane.reason for lane in await store.lanes()] == ["timed out"]


async def test_a_sink_that_cannot_be_opened_is_opened_later(store, start, clock, caplog):
    caplog.set_level(logging.INFO)
    await store.enqueue("a", deliveries("crm", "1"))
    sink = ScriptedSink()
    sink.refuses_to_open = 2
    await start(sink)
    for _ in range(2):
        await clock.asleep_for(POLL)
        clock.advance(POLL)
    await clock.until(lambda: "can be served again" in caplog.text)
    assert sink.told["a"] == ["1"]
    levels = [record.levelname for record in caplog.records if "cannot be served now: not yet" in record.getMessage()]
    assert levels == ["WARNING", "INFO"]
    assert caplog.text.count("sink crm: can be served again") == 1


class Troubled:
    """An outbox that cannot do some of its work for a while."""

    def __init__(self, outbox, **errors):
        self._outbox = outbox
        self._errors = errors

    def __getattr__(self, verb):
        if self._errors.get(verb, 0):
            self._errors[verb] -= 1
            raise StoreError("the database is locked: close what else uses it")
        return getattr(self._outbox, verb)


async def test_a_store_in_trouble_is_asked_again(store, start, clock, caplog):
    caplog.set_level(logging.INFO)
    await store.enqueue("a", deliveries("crm", "1"))
    sink = ScriptedSink()
    await start(sink, outbox=Troubled(store, claim=2))
    for _ in range(2):
        await clock.asleep_for(POLL)
        clock.advance(POLL)
    await sink.until(lambda: sink.told["a"] == ["1"])
    troubles = [record for record in caplog.records if "the database is locked" in record.getMessage()]
    assert [record.levelname for record in troubles] == ["WARNING", "INFO"]
    assert "Traceback" not in caplog.text, "our own errors say enough in one line"


async def test_what_could_not_be_settled_is_delivered_again_with_the_same_id(store, start, clock):
    await store.enqueue("a", deliveries("crm", "1"))
    sink = ScriptedSink()
    await start(sink, outbox=Troubled(store, settle=1))
    await clock.asleep_for(sink.timeout + LEASE_MARGIN)
    clock.advance(sink.timeout + LEASE_MARGIN)
    await sink.until(lambda: sink.told["a"] == ["1", "1"])


async def test_a_delivery_that_outlasts_its_lease_settles_nothing(store, start, clock, caplog):
    await store.enqueue("a", deliveries("crm", "1"))
    gate = asyncio.Event()
    sink = ScriptedSink()
    sink.behave(gate)
    await start(sink)
    await sink.until(lambda: len(sink.taken) == 1)
    clock.advance(await clock.asleep())
    await sink.until(lambda: sink.told["a"] == ["1"])
    gate.set()
    await sink.until(lambda: sink.told["a"] == ["1", "1"])
    await clock.until(lambda: "took longer than it was claimed for" in caplog.text)


async def test_a_parked_conversation_stands_still_aloud_and_goes_on_when_resumed(store, start, clock, caplog):
    await store.enqueue("a", deliveries("crm", "1", "2"))
    await store.enqueue("b", deliveries("crm", "3"))
    sink = ScriptedSink()
    sink.behave(Settlement("parked", reason="HTTP 400"), conversation="a")
    dispatcher = await start(sink)
    await sink.until(lambda: sink.told["b"] == ["3"])
    await clock.asleep_for(POLL)
    [lane] = await store.lanes()
    assert (lane.waiting, lane.due_at) == (2, None)
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert errors == ["sink crm: HTTP 400; a is parked after 1 attempts, from 1 on"]
    assert await store.resume("crm") == 1
    dispatcher.wake()
    await sink.until(lambda: sink.told["a"] == ["1", "2"])


async def test_a_sink_that_is_gone_is_disabled_aloud_and_others_go_on(store, start, caplog):
    await store.enqueue("a", [*deliveries("gone", "1", "2"), *deliveries("crm", "3")])
    gone, crm = ScriptedSink("gone"), ScriptedSink("crm")
    gone.behave(Settlement("disabled", reason="HTTP 410"))
    dispatcher = await start(gone, crm)
    await dispatcher.aclose()
    assert (len(gone.taken), gone.told, crm.told) == (1, {}, {"a": ["3"]})
    assert await store.lanes() == []
    assert "sink gone: HTTP 410, so it is disabled; all that waits for it is dropped" in caplog.text


async def test_the_first_failure_is_a_warning_and_recovery_is_said_once(store, start, clock, caplog):
    caplog.set_level(logging.INFO)
    await store.enqueue("a", deliveries("crm", "1", "2"))
    sink = ScriptedSink()
    sink.behave(retry(), retry())
    await start(sink)
    for _ in range(2):
        await clock.asleep_for(5.0)
        clock.advance(5)
    await sink.until(lambda: sink.told["a"] == ["1", "2"])
    await clock.until(lambda: "delivers again" in caplog.text)
    said = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert said == [
        ("WARNING", "sink crm: HTTP 500 (attempt 1, 1 in a), next in 5 s"),
        ("INFO", "sink crm: HTTP 500 (attempt 2, 1 in a), next in 5 s"),
        ("INFO", "sink crm: delivers again"),
    ]


# --- a sink that is down ------------------------------------------------------------------------------------------


async def test_a_sink_that_is_down_is_left_alone_and_then_tried_with_one_batch(store, start, clock):
    for number in range(30):
        await store.enqueue(f"c{number}", deliveries("crm", f"d{number}"))
    sink = ScriptedSink(concurrency=4)
    sink.always(retry(delay=1_000.0))
    await start(sink)
    tries = []
    for hold in (5.0, 10.0, 20.0, 40.0):
        await clock.asleep_for(hold)
        tries.append(len(sink.taken))
        clock.advance(hold)
    assert tries[0] <= LIMIT + sink.concurrency, "what was under way ends, nothing is begun"
    assert [later - earlier for earlier, later in itertools.pairwise(tries)] == [1, 1, 1]
    await clock.asleep_for(80.0)
    tried = len(sink.taken)
    sink.always(DELIVERED)
    clock.advance(80)
    await sink.until(lambda: len(sink.told) == 30 - tried)


async def test_a_probe_that_works_opens_all_lanes_again(store, start, clock):
    gate = asyncio.Event()
    sink = ScriptedSink(concurrency=4)
    sink.always(retry(delay=1_000.0))
    for number in range(20):
        await store.enqueue(f"c{number}", deliveries("crm", f"d{number}"))
    await start(sink)
    await clock.asleep_for(5.0)
    tried = len(sink.taken)
    sink.always(gate)
    waits = clock.waits
    clock.advance(5)
    await sink.until(lambda: len(sink.taken) > tried)
    await clock.until(lambda: clock.waits > waits)
    assert len(sink.taken) == tried + 1, "one, while nobody knows"
    gate.set()
    await sink.until(lambda: len(sink.told) == 20 - tried)


async def test_a_bad_conversation_among_good_ones_holds_nobody(store, start, clock):
    sink = ScriptedSink(concurrency=1)
    for number in range(3 * LIMIT):
        sink.behave(retry(delay=1_000.0), conversation=f"bad{number}")
        await store.enqueue(f"bad{number}", deliveries("crm", f"b{number}"))
        clock.advance(0.5)
        await store.enqueue(f"good{number}", deliveries("crm", f"g{number}"))
        clock.advance(0.5)
    await start(sink)
    await sink.until(lambda: len(sink.told) == 3 * LIMIT)


# --- the end ------------------------------------------------------------------------------------------------------


async def test_closing_waits_for_what_is_under_way(store, start):
    gate = asyncio.Event()
    await store.enqueue("a", deliveries("crm", "1", "2"))
    sink = ScriptedSink()
    sink.behave(gate)
    dispatcher = await start(sink)
    await sink.until(lambda: len(sink.taken) == 1)
    closing = asyncio.create_task(dispatcher.aclose(grace=10))
    gate.set()
    await closing
    assert sink.told == {"a": ["1", "2"]}
    assert await store.lanes() == []


async def test_closing_does_not_wait_for_what_is_not_due_in_time(store, start, clock):
    await store.enqueue("a", deliveries("crm", "1"))
    sink = ScriptedSink()
    sink.behave(retry(5.0))
    dispatcher = await start(sink)
    await clock.asleep_for(5.0)
    async with asyncio.timeout(3):
        await dispatcher.aclose(grace=4.9)
    assert [lane.waiting for lane in await store.lanes()] == [1]


async def test_closing_waits_for_what_is_due_in_time(store, start, clock):
    await store.enqueue("a", deliveries("crm", "1"))
    sink = ScriptedSink()
    sink.behave(retry(5.0))
    dispatcher = await start(sink)
    await clock.asleep_for(5.0)
    waits = clock.waits
    closing = asyncio.create_task(dispatcher.aclose(grace=5.1))
    await clock.until(lambda: clock.waits > waits)
    clock.advance(5)
    await closing
    assert sink.told == {"a": ["1"]}


async def test_what_is_cut_off_comes_again_with_the_same_id_when_its_lease_ends(store, start, clock):
    await store.enqueue("a", deliveries("crm", "1", "2"))
    first = ScriptedSink()
    first.behave(HANG)
    dispatcher = await start(first)
    await first.until(lambda: len(first.taken) == 1)
    await dispatcher.aclose(grace=0.01)
    assert [(lane.waiting, lane.attempts) for lane in await store.lanes()] == [(2, 0)]
    second = ScriptedSink()
    await start(second)
    await clock.asleep_for(first.timeout + LEASE_MARGIN)
    clock.advance(first.timeout + LEASE_MARGIN)
    await second.until(lambda: second.told["a"] == ["1", "2"])


async def test_closed_it_may_be_opened_again(store, start):
    sink = ScriptedSink()
    dispatcher = await start(sink)
    dispatcher.wake()
    await dispatcher.open()
    await dispatcher.aclose()
    await dispatcher.aclose()
    dispatcher.wake()
    await store.enqueue("a", deliveries("crm", "1"))
    async with dispatcher:
        await sink.until(lambda: sink.told["a"] == ["1"])


async def test_a_sink_that_cannot_be_closed_keeps_no_other_open(start, caplog, monkeypatch):
    class Stuck(ScriptedSink):
        async def aclose(self, grace=5.0):
            self.closed += 1
            if self.closed == 1:
                await asyncio.Event().wait()

    monkeypatch.setattr(dispatch, "_CLOSE_SECONDS", 0.01)
    good = ScriptedSink("good")
    dispatcher = await start(Stuck("stuck"), good)
    async with asyncio.timeout(3):
        await dispatcher.aclose(grace=0)
    assert good.closed == 1
    assert "sink stuck: failed to close" in caplog.text


# --- all of it ----------------------------------------------------------------------------------------------------


async def test_four_dispatchers_and_a_flaky_sink_lose_nothing_and_mix_nothing_up():
    """As in four processes; who is cut off in the middle is replaced."""
    clock, dice = FakeClock(automatic=True), random.Random(4)
    store = SqliteStore(":memory:", clock=lambda: 1_700_000_000.0 + clock.monotonic())
    await store.open()
    sink = ScriptedSink(batch=3, concurrency=4)
    expected = {f"c{lane}": [f"c{lane}#{number}" for number in range(25)] for lane in range(12)}
    for step in [DELIVERED, retry(1.0), OSError("gone"), DELIVERED, retry(2.0, hold=3.0)] * 10:
        sink.behave(step)
    dispatchers = [Dispatcher(store, [sink], clock=clock, random=dice.random) for _ in range(4)]
    try:
        for dispatcher in dispatchers:
            await dispatcher.open()
        for number in range(25):
            for key, ids in expected.items():
                await store.enqueue(key, deliveries("crm", ids[number]))
            dispatchers[number % 4].wake()
            if number % 5 == 4:
                await dispatchers[0].aclose(grace=0)
                await dispatchers[0].open()
        await nothing_waits(store, clock)
    finally:
        for dispatcher in dispatchers:
            await dispatcher.aclose(grace=0)
        await store.aclose()
    heard = defaultdict(list)
    for key, told in sink.told.items():
        for each in told:
            if each not in heard[key]:
                heard[key].append(each)
    assert heard == expected
