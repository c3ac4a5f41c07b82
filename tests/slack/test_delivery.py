"""What is acknowledged, what comes again, and in which order: nothing is lost, nothing is answered twice."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from dspy_session.errors import ConfigurationError, StoreError
from dspy_session_chat.inbound import Inbound
from dspy_session_slack import Slack
from dspy_session_slack.transport.sockets import Sockets
from dspy_session_slack.unnamed import unnamed
from tests.loopback.slack import FakeSlack, cut, held, refused, server_error
from tests.slack.talk import ANN, ANNS_DM, BEN, GENERAL, MENTION, Echo, echoing, platform_of, running


async def test_the_twins_of_a_mention_are_answered_once(slack: FakeSlack):
    async with echoing(slack) as echo:
        await slack.say(f"{MENTION} hello", channel=GENERAL, user=ANN)
        await slack.settled()

    twins = [delivery.body for delivery in slack.deliveries if delivery.event["user"] == ANN]
    assert [body["event"]["type"] for body in twins] == ["message", "app_mention"]
    assert twins[0]["event_id"] != twins[1]["event_id"]
    assert echo.texts == ["hello"]
    assert all(delivery.acked.is_set() for delivery in slack.deliveries)


@pytest.mark.parametrize("events", [{"app_mention"}, {"message.channels"}])
async def test_either_twin_alone_will_do(events: set[str]):
    async with FakeSlack(events=events) as slack, echoing(slack) as echo:
        await slack.say(f"{MENTION} hello", channel=GENERAL, user=ANN)
        await slack.next_post()

    assert echo.texts == ["hello"]


async def test_a_repeated_event_is_acknowledged_and_not_answered_again(slack: FakeSlack):
    async with echoing(slack) as echo:
        await slack.say("hello", channel=ANNS_DM, user=ANN)
        await slack.next_post()
        await slack.settled()
        delivery = slack.deliveries[0]
        await slack.redeliver(delivery)
        await slack.settled()

    assert len(delivery.envelope_ids) == 2
    assert {ack.envelope_id for ack in slack.acks} >= set(delivery.envelope_ids)
    assert echo.texts == ["hello"]
    assert len(slack.posts) == 1


async def test_nothing_is_acknowledged_before_the_bot_has_it(slack: FakeSlack):
    receiving, go_on = asyncio.Event(), asyncio.Event()

    async def receive(inbound: Inbound) -> None:
        receiving.set()
        await go_on.wait()

    async with running(platform_of(slack), receive, slack):
        await slack.say("hello", channel=ANNS_DM, user=ANN)
        await receiving.wait()
        assert slack.acks == []
        go_on.set()
        await slack.settled()
        assert len(slack.acks) == 1


async def test_what_takes_too_long_comes_again_and_is_taken_once(slack: FakeSlack):
    receiving, go_on = asyncio.Event(), asyncio.Event()
    received: list[Inbound] = []

    async def receive(inbound: Inbound) -> None:
        received.append(inbound)
        receiving.set()
        await go_on.wait()

    async with running(platform_of(slack), receive, slack):
        await slack.say("hello", channel=ANNS_DM, user=ANN)
        await receiving.wait()
        slack.lose_patience()
        (delivery,) = slack.deliveries
        await slack.until(lambda: len(delivery.envelope_ids) == 2)
        go_on.set()
        await slack.settled()

    assert len(received) == 1
    assert {ack.envelope_id for ack in slack.acks} == set(delivery.envelope_ids)


@pytest.mark.parametrize("failure", [StoreError("the disk is full"), RuntimeError("a bug")])
async def test_what_the_bot_could_not_take_comes_again(slack: FakeSlack, failure: Exception):
    platform = platform_of(slack)
    echo, failing = Echo(platform), asyncio.Event()

    async def receive(inbound: Inbound) -> None:
        if not failing.is_set():
            failing.set()
            raise failure
        await echo(inbound)

    async with running(platform, receive, slack):
        await slack.say("hello", channel=ANNS_DM, user=ANN)
        await failing.wait()
        slack.lose_patience()
        post = await slack.next_post()
        await slack.settled()

    assert post.text == "echo: hello"
    assert len(slack.posts) == 1
    assert len(slack.deliveries[0].envelope_ids) == 2


async def test_a_store_that_fails_is_one_line_in_the_log(slack: FakeSlack, caplog: pytest.LogCaptureFixture):
    tries: asyncio.Queue[Inbound] = asyncio.Queue()

    async def receive(inbound: Inbound) -> None:
        tries.put_nowait(inbound)
        raise StoreError("the disk is full")

    async with running(platform_of(slack), receive, slack):
        await slack.say("hello", channel=ANNS_DM, user=ANN)
        await tries.get()
        slack.lose_patience()
        await tries.get()

    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert {record.getMessage() for record in warnings} == {
        "A Slack event was not taken, and Slack will send it again: the disk is full"
    }
    assert all(record.exc_info is None for record in warnings)


async def test_messages_of_a_conversation_stay_in_order_while_names_are_looked_up(slack: FakeSlack):
    slow = asyncio.Event()
    async with echoing(slack) as echo:
        asked = await slack.say(f"{MENTION} first", channel=GENERAL, user=BEN)
        await slack.next_post()
        slack.fail("users.info", held(slow))
        await slack.say("second", channel=GENERAL, user=ANN, thread_ts=asked["ts"])
        await slack.say("third", channel=GENERAL, user=BEN, thread_ts=asked["ts"])
        await slack.say("elsewhere", channel="D0BEN", user=BEN)
        assert (await slack.next_post()).text == "echo: elsewhere"
        slow.set()
        await slack.settled()

    assert echo.texts == ["first", "elsewhere", "second", "third"]


async def test_names_that_take_too_long_are_done_without(slack: FakeSlack, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("dspy_session_slack.directory.PATIENCE", 0.05)
    never = asyncio.Event()
    slack.fail("users.info", held(never))
    async with echoing(slack) as echo:
        await slack.say("hello", channel=ANNS_DM, user=ANN)
        await slack.next_post()
        never.set()

    assert echo.received[0].author.name == unnamed(ANN)


async def test_a_refresh_loses_nothing_and_doubles_nothing(slack: FakeSlack):
    async with echoing(slack) as echo:
        for number in range(5):
            await slack.say(f"before {number}", channel=ANNS_DM, user=ANN)
            await slack.refresh()
            await slack.say(f"after {number}", channel="D0BEN", user=BEN)
        await slack.settled()
        await slack.connected()

    assert sorted(echo.texts) == sorted(f"{when} {number}" for when in ("before", "after") for number in range(5))
    assert len(slack.posts) == 10


@pytest.mark.parametrize("sockets", [1, 10])
async def test_what_is_under_way_is_acknowledged_on_its_own_socket_while_another_takes_its_place(
    slack: FakeSlack, sockets: int
):
    receiving, go_on = asyncio.Event(), asyncio.Event()
    received: list[str] = []

    async def receive(inbound: Inbound) -> None:
        received.append(inbound.text)
        receiving.set()
        if inbound.text == "before":
            await go_on.wait()

    platform = platform_of(slack, sockets=sockets)
    async with running(platform, receive, slack, sockets):
        await slack.say("before", channel=ANNS_DM, user=ANN)
        await receiving.wait()
        olds = list(slack.sockets.connections)
        for reason in ("warning", "refresh_requested"):
            await slack.refresh(reason, olds)
        if sockets == 1:
            await slack.connected()
            assert not olds[0].closed.is_set(), "the new one is open before the old one goes"
        go_on.set()
        await slack.settled()
        await slack.connected(sockets)
        for old in olds:
            await old.closed.wait()
        await slack.say("after", channel="D0BEN", user=BEN)
        await slack.settled()

    assert received == ["before", "after"]
    assert [len(delivery.envelope_ids) for delivery in slack.deliveries] == [1, 1]


async def test_of_several_sockets_one_that_breaks_holds_nothing_up(slack: FakeSlack, caplog: pytest.LogCaptureFixture):
    platform = platform_of(slack, sockets=3, ping_interval=0.1)
    echo = Echo(platform)
    async with running(platform, echo, slack, 3):
        slack.fail("apps.connections.open", server_error(502), times=4)
        slack.fail("apps.connections.open", cut(), times=2)
        slack.sockets.connections[0].cut()
        await slack.refresh("warning", slack.sockets.connections[1:2])
        await slack.connected(1)
        await slack.say("hello", channel=ANNS_DM, user=ANN)
        assert (await slack.next_post()).text == "echo: hello"
        await slack.connected(3)
        await slack.settled()

    assert echo.texts == ["hello"]
    assert all(record.exc_info is None for record in caplog.records)
    assert any("Slack cannot be reached" in each for each in caplog.messages)


@pytest.mark.parametrize("sockets", [0, 11, 1.5, True])
def test_slack_allows_ten_sockets(sockets: Any):
    with pytest.raises(ConfigurationError, match="sockets must be a number from 1 to 10"):
        Slack(sockets=sockets)


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("too_many_websockets", "an app has 10 connections at most: stop other bots with this app-level token"),
        ("link_disabled", "on the page Socket Mode of the app's settings, switch on Enable Socket Mode"),
        ("something_new", "see status.slack.com"),
    ],
)
async def test_where_slack_keeps_no_connection_open_it_is_told_and_tried_again(
    slack: FakeSlack, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, reason: str, remedy: str
):
    # It asks again as often as it pings, but so often as here no machine pings when it is busy.
    monkeypatch.setattr(
        "dspy_session_slack.transport.sockets.Sockets", lambda make, count, _: Sockets(make, count, 0.01)
    )
    slack.sockets.closing = [reason] * 3
    async with echoing(slack) as echo:
        await slack.say("hello", channel=ANNS_DM, user=ANN)
        await slack.next_post()

    assert echo.texts == ["hello"]
    assert len(slack.called("apps.connections.open")) == 4
    (told,) = [each for each in caplog.messages if each.startswith("Slack keeps no connection open")]
    assert f"({reason}): {remedy}" in told


async def test_where_slack_keeps_no_connection_open_it_is_not_asked_at_once(slack: FakeSlack):
    slack.sockets.closing = ["too_many_websockets"]
    platform = platform_of(slack, ping_interval=60.0)
    run = asyncio.create_task(platform.run(Echo(platform)))
    await slack.until(lambda: slack.sockets.closing == [])
    for _ in range(20):
        await AsyncWebClient(base_url=slack.base_url, token=slack.bot_token).auth_test()
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)

    assert len(slack.called("apps.connections.open")) == 1


async def test_a_broken_connection_is_mended_and_what_was_lost_comes_again(slack: FakeSlack):
    receiving, go_on = asyncio.Event(), asyncio.Event()
    received: list[str] = []

    async def receive(inbound: Inbound) -> None:
        received.append(inbound.text)
        receiving.set()
        await go_on.wait()

    async with running(platform_of(slack), receive, slack):
        await slack.say("hello", channel=ANNS_DM, user=ANN)
        await receiving.wait()
        slack.drop_connections()
        await slack.connected(0)
        go_on.set()
        await slack.say("are you back?", channel=ANNS_DM, user=ANN)
        await slack.settled()

    assert received == ["hello", "are you back?"]
    assert len(slack.deliveries[0].envelope_ids) == 2


async def test_every_new_connection_gets_an_address_of_its_own(
    slack: FakeSlack, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr("dspy_session_slack.transport.socket_mode.TRIES", 1)
    async with echoing(slack) as echo:
        slack.fail("link", server_error())
        await slack.refresh()
        await slack.connected()
        await slack.say("hello", channel=ANNS_DM, user=ANN)
        await slack.next_post()

    assert echo.texts == ["hello"]
    assert len(slack.called("apps.connections.open")) == 3
    assert "ticket=***" in caplog.text
    assert "ticket-" not in caplog.text, "it lets in whoever has it"


async def test_an_outage_of_slack_is_waited_out(slack: FakeSlack, monkeypatch: pytest.MonkeyPatch):
    # A busy machine takes longer than two pings.
    monkeypatch.setattr("dspy_session_slack.transport.socket_mode.TRIES", 100)
    async with echoing(slack, ping_interval=0.1) as echo:
        slack.fail("apps.connections.open", server_error(502), times=2)
        slack.drop_connections()
        await slack.connected(0)
        await slack.say("hello", channel=ANNS_DM, user=ANN)
        await slack.next_post()

    assert echo.texts == ["hello"]


async def test_the_first_events_do_not_depend_on_bolts_own_sign_in(slack: FakeSlack):
    async with echoing(slack) as echo:
        slack.fail("auth.test", refused("internal_error"))
        await slack.say("hello", channel=ANNS_DM, user=ANN)
        await slack.next_post()

    assert echo.texts == ["hello"]
