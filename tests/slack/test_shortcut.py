"""The shortcut "Ask the bot about this": from the menu of a message to the answer in its thread."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from dspy_session_slack import Slack
from dspy_session_slack.inbound.shortcut import ASK_ABOUT, About, about, asked, modal
from dspy_session_slack.inbound.translate import named_in
from tests.loopback.slack import FakeSlack, held, refused
from tests.slack.payloads import BOT
from tests.slack.talk import ANN, BEN, GENERAL, Echo, echoing, running


async def test_a_question_about_a_message_is_answered_in_its_thread(slack: FakeSlack):
    async with echoing(slack) as echo:
        message = await slack.say("The *bell* is <!channel> &lt;broken&gt;.", channel=GENERAL, user=BEN)
        await slack.shortcut(ASK_ABOUT, channel=GENERAL, ts=message["ts"], user=ANN)
        view = await slack.next_view()
        delivery = await slack.submit(view, " How do I mend it? ", user=ANN)
        question, answer = await slack.next_post(), await slack.next_post()
        await slack.settled()

    assert view["blocks"][0]["text"]["text"] == "*Ben* wrote:\n> The *bell* is @channel &lt;broken&gt;."
    assert question.text == "*ann* asks:\n> How do I mend it?"
    assert {question.thread_ts, answer.thread_ts} == {message["ts"]}
    (inbound,) = echo.received
    assert inbound.text == "How do I mend it?\n\nAbout this message by Ben:\n> The *bell* is @channel <broken>."
    assert str(inbound.key) == f"slack:T0LOOPBACK:{GENERAL}:{message['ts']}"
    assert delivery.acked.is_set()


async def test_in_a_thread_the_answer_goes_to_that_thread(slack: FakeSlack):
    async with echoing(slack):
        root = await slack.say("one", channel=GENERAL, user=BEN)
        reply = await slack.say("two", channel=GENERAL, user=BEN, thread_ts=root["ts"])
        await slack.shortcut(ASK_ABOUT, channel=GENERAL, ts=reply["ts"], user=ANN)
        await slack.submit(await slack.next_view(), "What?", user=ANN)
        assert {(await slack.next_post()).thread_ts, (await slack.next_post()).thread_ts} == {root["ts"]}


@pytest.mark.parametrize("fault", [refused("expired_trigger_id"), held(asyncio.Event())])
async def test_a_question_that_cannot_be_asked_for_is_told(
    slack: FakeSlack, fault: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("dspy_session_slack.inbound.orders.PATIENCE", 0.1)
    async with echoing(slack):
        message = await slack.say("one", channel=GENERAL, user=BEN)
        slack.fail("views.open", fault)
        await slack.shortcut(ASK_ABOUT, channel=GENERAL, ts=message["ts"], user=ANN)
        await slack.until(lambda: bool(slack.responses.said))
        if fault.until is not None:
            fault.until.set()

    (said,) = slack.responses.said
    assert (said["user"], said["text"]) == (ANN, "Slack was too slow to ask for your question; please try again.")


async def test_where_the_bot_is_not_that_is_told(slack: FakeSlack):
    async with echoing(slack) as echo:
        message = await slack.say("one", channel="C0ELSEWHERE", user=BEN)
        await slack.shortcut(ASK_ABOUT, channel="C0ELSEWHERE", ts=message["ts"], user=ANN)
        await slack.submit(await slack.next_view(), "What?", user=ANN)
        await slack.until(lambda: bool(slack.responses.said))

    assert "/invite @helper" in slack.responses.said[0]["text"]
    assert echo.heard == []


async def test_a_joined_app_keeps_its_own_shortcuts(slack: FakeSlack):
    app = AsyncApp(client=AsyncWebClient(base_url=slack.base_url, token=slack.bot_token))
    theirs: list[str] = []

    async def report(ack: Any, shortcut: dict[str, Any]) -> None:
        await ack()
        theirs.append(shortcut["message_ts"])

    app.shortcut("report")(report)
    platform = Slack(app=app, app_token=slack.app_token, ping_interval=0.5)
    async with running(platform, Echo(platform), slack):
        message = await slack.say("one", channel=GENERAL, user=BEN)
        await slack.shortcut("report", channel=GENERAL, ts=message["ts"], user=ANN)
        await slack.settled()

    assert theirs == [message["ts"]]
    assert slack.views == []


anything = st.none() | st.integers() | st.text() | st.lists(st.text(), max_size=2)
message_fields = st.dictionaries(st.sampled_from(["ts", "thread_ts", "text", "user", "id"]), anything)


@settings(max_examples=40)
@given(message_fields | anything, message_fields | anything)
def test_a_message_of_any_shape_is_taken_or_left(message: Any, channel: Any):
    body = {"callback_id": ASK_ABOUT, "message": message, "channel": channel}

    assert about(body, BOT, {}) is None


@settings(max_examples=40)
@given(anything)
def test_a_message_that_says_anything_can_be_asked_about(text: Any):
    message = {"ts": "1.1", "user": ANN, "text": text}

    assert about({"callback_id": ASK_ABOUT, "message": message, "channel": {"id": GENERAL}}, BOT, {}) is not None
    assert named_in(message, BOT)[0] == ANN


@settings(max_examples=40)
@given(st.text(max_size=1_000), st.text(max_size=200))
def test_what_fits_travels_with_the_modal_and_comes_back(text: str, author: str):
    message = About("C1", "1.1", "1.0", author, text, "https://example.com/respond")

    view = modal(message)

    assert len(view["private_metadata"]) <= 3_000
    assert len(view["blocks"][0]["text"]["text"]) <= 3_000
    state = {"values": {ASK_ABOUT: {ASK_ABOUT: {"value": " why? "}}}}
    found = asked({"view": {**view, "state": state}})
    assert found is not None
    assert (found[0].thread, found[0].respond, found[1]) == ("1.0", message.respond, "why?")
    assert text.startswith(found[0].text)


@pytest.mark.parametrize(
    "metadata",
    ["", "7", "[]", '["C1"]', '["C1",1,"","","",""]', '["c1","1.1","1.1","","",""]', "[" * 9_000, json.dumps({"a": 1})],
)
def test_what_was_not_made_here_is_left(metadata: str):
    state = {"values": {ASK_ABOUT: {ASK_ABOUT: {"value": "why?"}}}}

    assert asked({"view": {"callback_id": ASK_ABOUT, "private_metadata": metadata, "state": state}}) is None
