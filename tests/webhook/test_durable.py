"""A webhook that is told by a store: what waits survives the process."""

from __future__ import annotations

import asyncio
import logging

import pytest

from dspy_session.conversation.dispatch import Dispatcher
from dspy_session.conversation.envelope import TYPES
from dspy_session.conversation.protocols import DurableSink
from dspy_session.stores import SqliteStore
from dspy_session_webhook import Webhook
from tests.events import DETAILS, KEY, make_change, make_event, make_turn
from tests.loopback.receiver import SECRET, Abort, Hang, Reply

OTHER = "slack:T1:C2"


@pytest.fixture
async def store(clock):
    opened = SqliteStore(":memory:", clock=clock.time)
    await opened.open()
    yield opened
    await opened.aclose()


@pytest.fixture
async def start(clock):
    """Starts a dispatcher, stops it after the test."""
    started = []

    async def start_one(store, *webhooks):
        dispatcher = Dispatcher(store, webhooks, clock=clock, random=lambda: 0.0, poll=1e6)
        started.append(dispatcher)
        await dispatcher.open()
        return dispatcher

    yield start_one
    for dispatcher in started:
        await dispatcher.aclose(grace=0)


async def put(store, webhook, *events):
    for event in events:
        made = webhook.encode(event)
        if made is not None:
            await store.enqueue(event.key, [made])


async def test_everything_that_happens_arrives_signed_and_in_order(receiver, open_webhook, store, start):
    webhook = open_webhook()
    assert isinstance(webhook, DurableSink)
    await put(store, webhook, make_event(), *(make_change(kind, event_id=kind) for kind in DETAILS))
    dispatcher = await start(store, webhook)
    await receiver.arrived(len(TYPES))
    await dispatcher.aclose()
    assert [each.payload["type"] for each in receiver.deliveries] == ["conversation.turn", *DETAILS]
    assert all(each.verified for each in receiver.deliveries)
    assert await store.lanes() == []


async def test_only_what_was_chosen_leaves(receiver, open_webhook, store, start):
    webhook = open_webhook(events=["conversation.turn"], fields=["question"], redact={"question"})
    await put(store, webhook, make_event(), make_change())
    dispatcher = await start(store, webhook)
    await dispatcher.aclose()
    (delivery,) = receiver.deliveries
    data = delivery.payload["data"]
    assert (data["inputs"], data["outputs"]) == ({"question": "[redacted]"}, {})


async def test_the_same_is_chosen_without_a_store(receiver, open_webhook):
    webhook = open_webhook(fields=["question"], redact=lambda name, value: value.upper())
    await webhook.send(make_event())
    (delivery,) = await receiver.arrived(1)
    data = delivery.payload["data"]
    assert (data["inputs"], data["outputs"]) == ({"question": "QUESTION 0"}, {})
    silent = open_webhook(events=["turn.scored"])
    await silent.send(make_event())
    assert silent.waiting == 0


async def test_retries_carry_the_same_id_and_body_and_keep_the_order(receiver, open_webhook, store, start, clock):
    receiver.behave(Reply(500), Abort(), Reply(302, {"Location": receiver.url}))
    webhook = open_webhook()
    await put(store, webhook, make_event(0), make_event(1))
    await start(store, webhook)
    for wait in (5.0, 300.0, 1_800.0):
        await clock.asleep_for(wait)
        clock.advance(wait)
    deliveries = await receiver.arrived(5)
    assert [each.turn_id for each in deliveries] == [f"{KEY}#0"] * 4 + [f"{KEY}#1"]
    assert len({each.body for each in deliveries[:4]}) == len({each.id for each in deliveries[:4]}) == 1
    stamps = [int(each.headers["webhook-timestamp"]) for each in deliveries[:4]]
    assert [later - stamps[0] for later in stamps] == [0, 5, 305, 2_105], "signed anew for each attempt"


async def test_retry_after_holds_every_conversation(receiver, open_webhook, store, start, clock):
    receiver.behave(Reply(429, {"Retry-After": "3600"}))
    webhook = open_webhook()
    await put(store, webhook, make_event())
    dispatcher = await start(store, webhook)
    await clock.asleep_for(3600.0)
    await put(store, webhook, make_event(key=OTHER))
    waits = clock.waits
    dispatcher.wake()
    await clock.until(lambda: clock.waits > waits)
    clock.advance(3599)
    await clock.asleep_for(1.0)
    assert len(receiver.deliveries) == 1
    clock.advance(1)
    assert {each.conversation for each in (await receiver.arrived(3))[1:]} == {KEY, OTHER}


async def test_gone_disables_it_and_no_other(receiver, open_webhook, store, start, caplog):
    receiver.behave(Reply(410))
    gone, other = open_webhook(receiver.url + "?gone=1"), open_webhook(receiver.url + "?other=1")
    await put(store, gone, make_event(0), make_event(1))
    dispatcher = await start(store, gone)
    await dispatcher.aclose()
    await put(store, other, make_event(0))
    dispatcher = await start(store, other)
    await dispatcher.aclose()
    assert [each.path for each in receiver.deliveries] == ["/turns?gone=1", "/turns?other=1"]
    assert await store.lanes() == []
    assert f"sink {gone.name}: HTTP 410, so it is disabled" in caplog.text


async def test_when_the_schedule_is_used_up_the_conversation_is_parked_until_resumed(
    receiver, open_webhook, store, start, clock
):
    receiver.behave(*[Reply(500)] * 10, conversation=KEY)
    webhook = open_webhook()
    await put(store, webhook, make_event(0), make_event(1))
    dispatcher = await start(store, webhook)
    for wait in (5.0, 300.0, 1_800.0, *(hours * 3600.0 for hours in (2, 5, 10, 14, 20, 24))):
        await clock.asleep_for(wait)
        clock.advance(wait)
    await clock.asleep_for(1e6)
    [lane] = await store.lanes()
    assert (lane.waiting, lane.attempts, lane.due_at, lane.reason) == (2, 10, None, "HTTP 500")
    await store.resume(webhook.name)
    dispatcher.wake()
    assert [each.turn_id for each in (await receiver.arrived(12))[10:]] == [f"{KEY}#0", f"{KEY}#1"]


async def test_both_keys_sign_while_they_are_rotated_also_what_was_written_before(receiver, open_webhook, store, start):
    before = open_webhook(secret="whsec_" + "b" * 32)
    await put(store, before, make_event())
    after = open_webhook(secret=["whsec_" + "b" * 32, SECRET])
    assert after.name == before.name
    await start(store, after)
    (delivery,) = await receiver.arrived(1)
    assert delivery.verified
    assert delivery.headers["webhook-signature"].count("v1,") == 2


async def test_batches(receiver, open_webhook, store, start, clock):
    receiver.behave(Reply(500))
    webhook = open_webhook(batch=3)
    await put(store, webhook, *(make_event(index) for index in range(7)))
    await start(store, webhook)
    await clock.asleep_for(5.0)
    clock.advance(5)
    first, again, *rest = await receiver.arrived(4)
    assert (first.id, first.body) == (again.id, again.body)
    assert all(each.verified and each.payload["type"] == "batch" for each in receiver.deliveries)
    told = [[message["data"]["turn_id"][-1] for message in each.messages] for each in (again, *rest)]
    assert told == [["0", "1", "2"], ["3", "4", "5"], ["6"]]


async def test_batches_of_one_without_a_store(receiver, open_webhook):
    await open_webhook(batch=3).send(make_event())
    (delivery,) = await receiver.arrived(1)
    assert delivery.verified
    assert (delivery.payload["type"], len(delivery.messages)) == ("batch", 1)


async def test_what_was_not_answered_comes_again_after_a_restart_with_the_same_id(
    receiver, open_webhook, start, clock, tmp_path
):
    """As after kill -9 between the POST and its ack."""
    receiver.behave(Hang())
    store = SqliteStore(tmp_path / "bot.db", clock=clock.time)
    await store.open()
    webhook = open_webhook()
    await put(store, webhook, make_event(0), make_event(1))
    dispatcher = await start(store, webhook)
    await receiver.arrived(1)
    await dispatcher.aclose(grace=0)
    await store.aclose()

    store = SqliteStore(tmp_path / "bot.db", clock=clock.time)
    await store.open()
    clock.advance(60)
    dispatcher = await start(store, open_webhook())
    deliveries = await receiver.arrived(3)
    await dispatcher.aclose()
    await store.aclose()
    assert [each.turn_id[-1] for each in deliveries] == ["0", "0", "1"]
    assert deliveries[0].id == deliveries[1].id


async def test_an_endpoint_that_hangs_costs_no_other_a_moment(receiver, open_webhook, store, start):
    receiver.behave(*[Hang()] * 8)
    slow = open_webhook(receiver.url + "?slow=1")
    for number in range(20):
        await put(store, slow, make_event(key=f"c{number}"))
    await start(store, slow)
    await receiver.arrived(8)
    quick = open_webhook(receiver.url + "?quick=1")
    for number in range(20):
        await put(store, quick, make_event(key=f"c{number}"))
    await start(store, quick)
    deliveries = await receiver.arrived(28)
    assert {each.path for each in deliveries[8:]} == {"/turns?quick=1"}


# --- its name -----------------------------------------------------------------------------------------------------


def named(url, **options):
    return Webhook(url, SECRET, **options).name


def test_the_name_is_the_same_after_a_restart_and_another_for_another_url():
    url = "https://example.com:8443/turns/hush?token=hush#part"
    assert named(url) == named(url) == named(url, batch=7, events=["turn.scored"])
    assert named(url).startswith("webhook:https://example.com:8443#")
    assert "hush" not in named(url)
    assert (
        len({named(url), named("https://example.com:8443/turns/hush?token=other"), named("https://example.com/")}) == 3
    )
    assert named(url, name="crm") == "crm"


async def test_nothing_that_is_said_holds_the_secret_or_the_query(receiver, open_webhook, store, start, clock, caplog):
    caplog.set_level(logging.DEBUG)
    receiver.behave(Reply(500), Abort(), Reply(302, {"Location": "/?token=hush"}), Reply(410))
    webhook = open_webhook(receiver.url.replace("/turns", "/turns/hush?token=hush"))
    await put(store, webhook, make_event())
    await start(store, webhook)
    reasons = []
    for wait in (5.0, 300.0, 1_800.0):
        await clock.asleep_for(wait)
        reasons += [lane.reason for lane in await store.lanes()]
        clock.advance(wait)
    await clock.until(lambda: "disabled" in caplog.text)
    said = f"{caplog.text} {webhook!r} {webhook.name} {reasons}"
    assert "hush" not in said
    assert SECRET.removeprefix("whsec_") not in said


async def test_a_turn_that_json_cannot_hold_costs_no_more_than_its_field(receiver, open_webhook, store, start, caplog):
    class Odd:
        def __deepcopy__(self, memo):
            return self

    webhook = open_webhook()
    await put(store, webhook, make_event(turn=make_turn(thing=Odd())))
    await start(store, webhook)
    (delivery,) = await receiver.arrived(1)
    assert delivery.payload["data"]["omitted"] == ["inputs.thing"]
    assert f"{webhook.name}: turn_t0 goes without inputs.thing" in caplog.text


async def test_it_delivers_again_after_it_was_closed(receiver, open_webhook, store, start):
    webhook = open_webhook()
    for number in range(2):
        await put(store, webhook, make_event(number))
        dispatcher = await start(store, webhook)
        await dispatcher.aclose()
    assert len(receiver.deliveries) == 2


async def test_a_name_is_looked_up_without_stopping_the_loop(receiver, open_webhook, store, start, monkeypatch):
    """The loop is the bot's: a name server that hangs must not stop everybody."""
    import socket

    gate, asked, look_up = asyncio.Event(), asyncio.Event(), socket.getaddrinfo
    loop = asyncio.get_running_loop()

    def slow(*args, **options):
        loop.call_soon_threadsafe(asked.set)
        asyncio.run_coroutine_threadsafe(gate.wait(), loop).result(10)
        return look_up(*args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    webhook = open_webhook(receiver.url.replace("127.0.0.1", "localhost"))
    await put(store, webhook, make_event())
    await start(store, webhook)
    await asked.wait()
    gate.set()
    await receiver.arrived(1)
