from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import pickle
import threading
import weakref
from collections import defaultdict

import pytest

from dspy_session.errors import ConfigurationError
from dspy_session_webhook import Webhook
from tests.events import KEY, make_event, make_turn
from tests.fake_clock import FakeClock
from tests.loopback.receiver import SECRET, Abort, DripHead, Hang, Reply

OTHER = "slack:T1:C2"


def turn_ids(deliveries):
    return [delivery.turn_id for delivery in deliveries]


async def test_a_bots_turn_arrives_signed(receiver, open_webhook):
    await open_webhook().send(make_event(1))
    (delivery,) = await receiver.arrived(1)
    assert delivery.verified
    assert delivery.payload["type"] == "conversation.turn"
    assert delivery.payload["data"]["outputs"] == {"answer": "answer 1"}


async def test_both_keys_sign_while_they_are_rotated(receiver, open_webhook):
    await open_webhook(secret=["whsec_" + "b" * 32, SECRET]).send(make_event())
    (delivery,) = await receiver.arrived(1)
    assert delivery.verified
    assert delivery.headers["webhook-signature"].count("v1,") == 2


async def test_a_turn_never_waits_for_the_network(receiver, open_webhook):
    gate = asyncio.Event()
    receiver.behave(Reply(after=gate))
    webhook = open_webhook()
    for index in range(100):
        await webhook.send(make_event(index))
    assert webhook.waiting == 100, "all were taken while the first is not answered yet"
    assert len(await receiver.arrived(1)) == 1
    gate.set()
    assert turn_ids(await receiver.arrived(100)) == [f"{KEY}#{index}" for index in range(100)]


async def test_conversations_do_not_wait_for_each_other(receiver, open_webhook):
    gate = asyncio.Event()
    receiver.behave(Reply(after=gate), conversation=KEY)
    webhook = open_webhook()
    await webhook.send(make_event(0))
    await receiver.arrived(1)
    for index in range(10):
        await webhook.send(make_event(index, key=OTHER))
    others = await receiver.arrived(11)
    assert [delivery.conversation for delivery in others] == [KEY] + [OTHER] * 10
    gate.set()


async def test_no_more_attempts_at_once_than_asked_for(receiver, open_webhook):
    gate = asyncio.Event()
    receiver.always(Reply(after=gate))
    webhook = open_webhook(concurrency=3)
    for number in range(9):
        await webhook.send(make_event(0, key=f"c{number}"))
    await receiver.arrived(3)
    assert len(receiver.peers) == 3
    gate.set()
    await receiver.arrived(9)
    assert len(receiver.peers) == 3


async def test_retries_carry_the_same_id_and_body_and_keep_the_order(receiver, open_webhook, clock):
    receiver.behave(Reply(500), Abort(), Reply(302, {"Location": receiver.url}))
    webhook = open_webhook()
    await webhook.send(make_event(0))
    await webhook.send(make_event(1))
    for wait in (5.0, 300.0, 1_800.0):
        assert await clock.asleep() == wait
        clock.advance(wait)
    deliveries = await receiver.arrived(5)
    assert turn_ids(deliveries) == [f"{KEY}#0"] * 4 + [f"{KEY}#1"]
    assert len({delivery.body for delivery in deliveries[:4]}) == 1
    assert {delivery.id for delivery in deliveries[:4]} == {deliveries[0].id}
    stamps = [int(delivery.headers["webhook-timestamp"]) for delivery in deliveries[:4]]
    assert [later - stamps[0] for later in stamps] == [0, 5, 305, 2_105], "signed anew for each attempt"


@pytest.mark.parametrize("behaviour", [Hang(), DripHead()])
async def test_an_endpoint_that_does_not_answer_is_tried_again(receiver, open_webhook, clock, behaviour):
    receiver.behave(behaviour)
    await open_webhook(timeout=0.1).send(make_event())
    assert await clock.asleep() == 5.0
    clock.advance(5)
    await receiver.arrived(2)


async def test_retry_after_holds_every_conversation(receiver, open_webhook, clock):
    receiver.behave(Reply(429, {"Retry-After": "3600"}))
    webhook = open_webhook()
    await webhook.send(make_event(0))
    assert await clock.asleep() == 3600.0
    await webhook.send(make_event(0, key=OTHER))
    clock.advance(3599)
    assert len(receiver.deliveries) == 1
    clock.advance(1)
    assert {delivery.conversation for delivery in (await receiver.arrived(3))[1:]} == {KEY, OTHER}


async def test_gone_disables_the_endpoint_and_says_what_it_costs(receiver, open_webhook, clock, caplog):
    gate = asyncio.Event()
    receiver.behave(Reply(410, after=gate))
    webhook = open_webhook()
    for index in range(3):
        await webhook.send(make_event(index))
    gate.set()
    await clock.until(lambda: "disabled" in caplog.text)
    assert "HTTP 410, so it is disabled; 3 turns given up" in caplog.text
    await webhook.send(make_event(3))
    assert "dropped, the endpoint is disabled; 1 dropped so far" in caplog.text
    await webhook.aclose()
    assert len(receiver.deliveries) == 1


async def test_when_the_schedule_is_used_up_the_conversation_is_parked_until_resumed(
    receiver, open_webhook, clock, caplog
):
    receiver.behave(*[Reply(500)] * 10, conversation=KEY)
    webhook = open_webhook()
    await webhook.send(make_event(0))
    for _ in range(9):
        clock.advance(await clock.asleep())
    await clock.until(lambda: webhook.parked)
    assert webhook.parked == (KEY,)
    assert f"{KEY} is parked after 10 attempts" in caplog.text
    await webhook.send(make_event(1))
    await webhook.send(make_event(0, key=OTHER))
    assert (await receiver.arrived(11))[-1].conversation == OTHER, "the others go on"
    webhook.resume()
    assert turn_ids((await receiver.arrived(13))[11:]) == [f"{KEY}#0", f"{KEY}#1"]


async def test_resuming_what_never_started_is_nothing(open_webhook):
    open_webhook().resume()


async def test_memory_is_bounded_and_what_is_lost_is_said(receiver, open_webhook, clock, caplog):
    gate = asyncio.Event()
    receiver.behave(Reply(after=gate))
    webhook = open_webhook(capacity=1_200)
    for index in range(6):
        await webhook.send(make_event(index))
    assert webhook.waiting == 2
    lost = [record.getMessage() for record in caplog.records if "dropped" in record.getMessage()]
    assert len(lost) == 4
    assert lost[-1].endswith("dropped, 1200 bytes are waiting already; 4 dropped so far")
    gate.set()
    await clock.until(lambda: webhook.waiting == 0)
    await webhook.send(make_event(6))
    assert turn_ids(await receiver.arrived(3)) == [f"{KEY}#{index}" for index in (0, 1, 6)]


async def test_closing_delivers_what_waits(receiver, open_webhook, caplog):
    webhook = open_webhook()
    for index in range(50):
        await webhook.send(make_event(index, key=f"c{index % 7}"))
    await webhook.aclose(grace=10)
    assert len(receiver.deliveries) == 50
    assert webhook.waiting == 0
    assert "undelivered" not in caplog.text


async def test_closing_does_not_wait_for_what_is_not_due_in_time(receiver, open_webhook, clock, caplog):
    receiver.behave(Reply(500))
    webhook = open_webhook()
    await webhook.send(make_event(0))
    await webhook.send(make_event(1))
    assert await clock.asleep() == 5.0
    async with asyncio.timeout(3):
        await webhook.aclose(grace=4.9)
    assert "closed with 2 turns undelivered" in caplog.text
    assert webhook.waiting == 2


async def test_closing_waits_for_what_is_due_in_time(receiver, open_webhook, clock):
    receiver.behave(Reply(500))
    webhook = open_webhook()
    await webhook.send(make_event())
    await clock.asleep()
    waits = clock.waits
    closing = asyncio.create_task(webhook.aclose(grace=5.1))
    await clock.until(lambda: clock.waits > waits)
    clock.advance(5)
    await closing
    assert len(receiver.deliveries) == 2


async def test_closing_gives_up_after_its_grace(receiver, open_webhook, caplog):
    receiver.always(Hang())
    webhook = open_webhook()
    await webhook.send(make_event(0))
    await receiver.arrived(1)
    async with asyncio.timeout(3):
        await webhook.aclose(grace=0.1)
    assert "closed with 1 turns undelivered" in caplog.text
    assert threads("webhook to") == []
    await webhook.aclose()
    assert caplog.text.count("undelivered") == 1


async def test_a_sync_close_gives_up_after_its_grace_too(receiver, open_webhook, caplog):
    receiver.always(Hang())
    webhook = open_webhook()
    await webhook.send(make_event(0))
    await receiver.arrived(1)
    await asyncio.to_thread(webhook.close, 0.1)
    assert "closed with 1 turns undelivered" in caplog.text
    assert threads("webhook to") == []


async def test_closing_at_once_sends_nothing_more(receiver, open_webhook, caplog):
    webhook = open_webhook()
    await webhook.send(make_event(0))
    await webhook.aclose(grace=0)
    assert threads("webhook to") == []
    assert webhook.waiting in (0, 1)


async def test_a_cancelled_close_leaves_the_rest_to_the_next(receiver, open_webhook):
    gate = asyncio.Event()
    receiver.behave(Reply(after=gate))
    webhook = open_webhook()
    await webhook.send(make_event(0))
    await receiver.arrived(1)
    closing = asyncio.create_task(webhook.aclose(grace=10))
    await asyncio.sleep(0)
    closing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await closing
    gate.set()
    await webhook.aclose(grace=10)
    assert webhook.waiting == 0


async def test_nothing_keeps_a_closed_webhook(receiver):
    webhook = Webhook(receiver.url, SECRET, allow_loopback=True)
    await webhook.send(make_event(0))
    await webhook.aclose(grace=10)
    kept = weakref.ref(webhook)
    del webhook
    gc.collect()
    assert kept() is None


async def test_after_closing_a_turn_is_dropped_aloud(receiver, open_webhook, caplog):
    webhook = open_webhook()
    await webhook.aclose()
    await webhook.send(make_event(0))
    assert "dropped, it is closed; 1 dropped so far" in caplog.text
    assert receiver.deliveries == []


async def test_what_was_never_used_has_no_thread(open_webhook):
    webhook = open_webhook()
    assert threads("webhook to") == []
    await webhook.send(make_event())
    assert len(threads("webhook to")) == 1
    await webhook.aclose()
    assert threads("webhook to") == []


async def test_the_first_failure_is_a_warning_and_recovery_is_said(receiver, open_webhook, clock, caplog):
    caplog.set_level(logging.INFO, logger="dspy_session_webhook")
    receiver.behave(Reply(503), Reply(503))
    webhook = open_webhook()
    await webhook.send(make_event())
    for _ in range(2):
        clock.advance(await clock.asleep())
    await clock.until(lambda: "delivers again" in caplog.text)
    levels = [record.levelname for record in caplog.records if "HTTP 503" in record.getMessage()]
    assert levels == ["WARNING", "INFO"]
    assert "HTTP 503 (attempt 1 of 10, turn_" in caplog.text
    await webhook.send(make_event(1))
    await clock.until(lambda: webhook.waiting == 0)
    assert caplog.text.count("delivers again") == 1


async def test_a_value_without_a_json_form_is_left_out_aloud(receiver, open_webhook, caplog):
    class Odd:
        def __deepcopy__(self, memo):
            return self

    await open_webhook().send(make_event(turn=make_turn(thing=Odd())))
    (delivery,) = await receiver.arrived(1)
    assert delivery.payload["data"]["omitted"] == ["inputs.thing"]
    assert "turn_t0 goes without inputs.thing, which JSON cannot hold" in caplog.text


async def test_nothing_that_is_said_holds_the_secret_or_the_query(receiver, open_webhook, clock, caplog):
    caplog.set_level(logging.DEBUG)
    receiver.behave(Reply(500), Abort(), Hang(), Reply(302, {"Location": "/?token=hush"}), Reply(410))
    url = receiver.url.replace("/turns", "/turns/hush?token=hush")
    webhook = open_webhook(url, timeout=0.2)
    await webhook.send(make_event())
    for _ in range(4):
        clock.advance(await clock.asleep())
    await clock.until(lambda: "disabled" in caplog.text)
    await webhook.send(make_event())
    await webhook.aclose()
    assert "token=hush" in receiver.deliveries[0].path
    said = caplog.text + repr(webhook) + str(webhook)
    assert "hush" not in said
    assert SECRET.removeprefix("whsec_") not in said
    assert repr(webhook).startswith("Webhook('http://127.0.0.1:")


async def test_many_threads_and_a_flaky_endpoint_lose_nothing_and_mix_nothing_up(receiver, open_webhook):
    clock = FakeClock(automatic=True)
    for lane in range(6):
        receiver.behave(*[Reply(), Reply(500), Abort(), Reply(), Reply(429)], conversation=f"c{lane}")
    webhook = open_webhook(clock=clock)

    def talk(lane):
        for index in range(25):
            asyncio.run(webhook.send(make_event(index, key=f"c{lane}")))

    async with asyncio.TaskGroup() as group:
        for lane in range(6):
            group.create_task(asyncio.to_thread(talk, lane))
    await clock.until(lambda: webhook.waiting == 0)
    heard = defaultdict(list)
    for delivery in receiver.deliveries:
        assert delivery.verified
        if not heard[delivery.conversation] or heard[delivery.conversation][-1] != delivery.turn_id:
            heard[delivery.conversation].append(delivery.turn_id)
    assert heard == {f"c{lane}": [f"c{lane}#{index}" for index in range(25)] for lane in range(6)}


def test_a_webhook_is_not_pickled():
    with pytest.raises(TypeError, match="holds a secret"):
        pickle.dumps(Webhook("https://example.com/", SECRET))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"url": "http://example.com/"}, "must begin with https://"),
        ({"url": "http://127.0.0.1/"}, "allow_loopback=True"),
        ({"secret": "hunter2"}, "whsec_ followed by 24 to 64 random bytes in base64"),
        ({"timeout": 0}, "timeout must be greater than 0"),
        ({"capacity": -1}, "capacity must be greater than 0"),
        ({"concurrency": 0}, "concurrency must be greater than 0"),
        ({"timeout": float("nan")}, "timeout must be greater than 0"),
    ],
)
def test_bad_input_is_refused_at_once_in_one_line(arguments, complaint):
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        Webhook(**{"url": "https://example.com/", "secret": SECRET, **arguments})
    assert "\n" not in str(caught.value)


def threads(prefix):
    return [thread for thread in threading.enumerate() if thread.name.startswith(prefix)]
