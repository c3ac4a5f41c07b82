from __future__ import annotations

import asyncio
import functools
import threading

import jsonschema
import pytest

from dspy_session.conversation.envelope import load_schema
from dspy_session.conversation.schedule import ATTEMPTS, RETRY_DELAYS
from dspy_session.errors import ConfigurationError
from dspy_session.sinks import Callback
from dspy_session.stores.outgoing import Settlement
from tests.events import DETAILS, make_change, make_event
from tests.sinks.batches import batch_of, numbered

DELIVERED = Settlement("delivered")


def callback(function, **options):
    return Callback(function, **{"name": "crm", "random": lambda: 0.0, **options})


async def test_a_function_is_told_in_a_thread_and_an_async_one_in_the_loop():
    told = []

    def function(event):
        told.append((event["data"]["turn_id"][-1], threading.current_thread() is threading.main_thread()))

    async def async_function(event):
        await asyncio.sleep(0)
        function(event)

    class Called:
        async def __call__(self, event):
            await async_function(event)

    for one in (function, async_function, functools.partial(async_function), Called(), Called().__call__):
        sink = callback(one)
        assert await sink.deliver(numbered(sink, 0)) == DELIVERED
    assert told == [("0", False), *[("0", True)] * 4]


@pytest.mark.parametrize("event", [make_event(), *map(make_change, DETAILS)], ids=lambda event: type(event).__name__)
async def test_it_is_told_the_whole_event_with_its_id(event):
    told = []
    sink = callback(told.append)
    batch = batch_of(sink, event)
    await sink.deliver(batch)
    assert [each["id"] for each in told] == [batch.deliveries[0].id]
    jsonschema.Draft202012Validator(load_schema(told[0]["type"])).validate(told[0])


async def test_what_it_raises_has_it_told_again_and_in_the_end_parked(caplog):
    def function(event):
        raise ConnectionError("postgres://ada:hush@db is down")

    sink = callback(function)
    settlements = [await sink.deliver(numbered(sink, 0, attempt=attempt)) for attempt in range(1, ATTEMPTS + 1)]
    assert [settlement.delay for settlement in settlements[:-1]] == list(RETRY_DELAYS)
    assert settlements[-1] == Settlement("parked", reason="raised ConnectionError")
    assert "hush" not in str(settlements)
    assert [record.levelname for record in caplog.records] == ["WARNING"], "with its traceback, once"
    assert "ConnectionError" in caplog.text


@pytest.mark.parametrize("error", [StopIteration(), StopAsyncIteration(), KeyError("x"), RecursionError()])
async def test_whatever_it_raises(error):
    def function(event):
        raise error

    sink = callback(function)
    assert (await sink.deliver(numbered(sink, 0))).outcome == "retry"


async def test_it_may_take_so_long_and_no_longer():
    async def function(event):
        await asyncio.Event().wait()

    sink = callback(function, timeout=0.02)
    assert (await sink.deliver(numbered(sink, 0))).reason == "timed out"


async def test_functions_that_hang_do_not_use_up_the_threads_of_others():
    gate = threading.Event()
    hanging, good = callback(lambda event: gate.wait(10), timeout=0.02), callback(lambda event: None)
    try:
        hung = await asyncio.gather(*(hanging.deliver(numbered(hanging, number)) for number in range(50)))
        assert {settlement.reason for settlement in hung} == {"timed out"}
        assert await good.deliver(numbered(good, 0)) == DELIVERED
        assert await asyncio.to_thread(lambda: "free") == "free"
    finally:
        gate.set()


async def test_only_what_was_chosen_is_told():
    told = []
    sink = callback(told.append, events=["conversation.turn"], fields=["question"], redact={"question"})
    assert sink.encode(make_change()) is None
    await sink.deliver(numbered(sink, 0))
    assert (told[0]["data"]["inputs"], told[0]["data"]["outputs"]) == ({"question": "[redacted]"}, {})


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"name": ""}, "needs a name"),
        ({"timeout": 0}, "timeout must be greater than 0, not 0"),
        ({"concurrency": -1}, "concurrency must be greater than 0, not -1"),
    ],
)
def test_what_does_not_fit_is_refused(options, complaint):
    with pytest.raises(ConfigurationError, match=complaint):
        callback(print, **options)


def test_it_says_its_name():
    assert repr(callback(print)) == "Callback('crm')"
