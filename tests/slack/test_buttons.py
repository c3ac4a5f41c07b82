"""Buttons: posted, pressed, and asking back."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from dspy_session.errors import StoreError
from dspy_session_chat.action import Action, Event, Press
from dspy_session_chat.platform import Post
from dspy_session_chat.reply import Button, Reply
from dspy_session_slack import Slack
from dspy_session_slack.inbound.presses import answered, pressed
from dspy_session_slack.outbound.buttons import actions, button_of
from tests.loopback.slack import FakeSlack, held, refused
from tests.slack.payloads import BOT
from tests.slack.talk import ANN, ANNS_DM, BEN, GENERAL, MENTION, Echo, platform_of, running, some_inbound

GOOD = Button("good", "👍", about="t1", style="good")
BAD = Button("bad", "👎", about="t1", style="danger", asks="What was wrong?")
DENY = Button("deny", "Deny", about="é" * 1_900, style="danger", asks="Why?", counts="when sent")


def elements(*buttons: Button) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = actions(buttons)[0]["elements"]
    return found


def test_what_a_button_is_about_travels_with_it():
    for button, element in zip((GOOD, BAD, DENY), elements(GOOD, BAD, DENY), strict=True):
        assert button_of(element) == replace(button, style="plain")


def test_styles_are_slacks():
    assert [element.get("style") for element in elements(GOOD, BAD, Button("stop", "Stop"))] == [
        *("primary", "danger"),
        None,
    ]


def test_what_slack_would_not_take_is_left_out(caplog: pytest.LogCaptureFixture):
    too_long = Button("long", "Long", about="x" * 2_000)

    assert [each["text"]["text"] for each in elements(too_long, Button("mute", " "), GOOD)] == ["👍"]
    assert "The button 'long' is left out" in caplog.text
    assert actions([too_long]) == []
    assert len(elements(*[GOOD] * 30)) == 25
    assert elements(Button("wide", "w" * 100))[0]["text"]["text"] == "w" * 75


@pytest.mark.parametrize(
    "value",
    ["", "x", "7", "[]", '["good"]', '["good",1,""]', '["good","","",1,1]', '{"good":"t1"}', "[" * 5_000],
)
def test_what_was_not_made_here_is_none_of_ours(value: str):
    assert button_of({"action_id": "dspy-session:button:0", "value": value}) is None


anything = st.none() | st.integers() | st.text() | st.lists(st.text(), max_size=3)
element = st.fixed_dictionaries(
    {}, optional={"action_id": st.just("dspy-session:button:0") | anything, "value": anything, "text": anything}
)
mappings = st.dictionaries(st.sampled_from(["id", "channel_id", "message_ts", "thread_ts", "name"]), anything)


@settings(max_examples=40)
@given(st.lists(element, max_size=2) | anything, mappings | anything, mappings | anything, mappings | anything)
def test_a_press_of_any_shape_is_taken_or_left(actions: Any, container: Any, message: Any, user: Any):
    body = {"actions": actions, "container": container, "message": message, "user": user}

    assert pressed(body, BOT, {}) is None


@settings(max_examples=40)
@given(st.dictionaries(st.sampled_from(["private_metadata", "state"]), anything | mappings), mappings | anything)
def test_an_answer_of_any_shape_is_taken_or_left(view: Any, user: Any):
    assert answered({"view": view, "user": user}, BOT, {}, some_inbound().sent_at) is None


class Rated(Echo):
    """Answers with buttons."""

    def __init__(self, platform: Slack) -> None:
        super().__init__(platform)
        self.platform = platform

    async def __call__(self, event: Event) -> None:
        self.heard.append(event)
        if not isinstance(event, Action):
            await self.platform.post(Post(event, Reply("Nine.", buttons=(GOOD, BAD, DENY))))


async def test_a_press_comes_with_what_it_is_about(slack: FakeSlack):
    platform = platform_of(slack)
    rated = Rated(platform)
    async with running(platform, rated, slack):
        said = await slack.say(f"{MENTION} when?", channel=GENERAL, user=ANN)
        post = await slack.next_post()
        await slack.settled()
        delivery = await slack.press("👍", channel=GENERAL, ts=post.ts, user=BEN)
        await slack.settled()

    (action,) = rated.actions
    assert action.deed == Press("good", "t1", message_id=f"{GENERAL}:{post.ts}")
    assert not action.direct
    assert str(action.key) == f"slack:T0LOOPBACK:{GENERAL}:{said['ts']}"
    assert (action.reply_to["channel"], action.reply_to["thread_ts"]) == (GENERAL, said["ts"])
    assert (action.author.id, action.author.name, action.channel_name) == (BEN, "ben", "general")
    assert action.event_id.startswith(f"press:{GENERAL}:{post.ts}:{BEN}:")
    assert delivery.acked.is_set()
    assert slack.views == []


async def test_buttons_work_after_a_restart_and_in_a_dm(slack: FakeSlack):
    await platform_of(slack).post(Post(some_inbound(), Reply("Nine.", buttons=(GOOD,))))
    (post,) = slack.posts
    platform = platform_of(slack)
    rated = Rated(platform)
    async with running(platform, rated, slack):
        await slack.press("👍", channel=ANNS_DM, ts=post.ts, user=ANN)
        await slack.settled()

    (action,) = rated.actions
    assert action.deed == Press("good", "t1", message_id=f"{ANNS_DM}:{post.ts}")
    assert (action.direct, str(action.key)) == (True, f"slack:T0LOOPBACK:{ANNS_DM}")


async def test_a_button_asks_and_its_press_comes_once_more_with_the_answer(slack: FakeSlack):
    platform = platform_of(slack)
    rated = Rated(platform)
    async with running(platform, rated, slack):
        await slack.say(f"{MENTION} when?", channel=GENERAL, user=ANN)
        post = await slack.next_post()
        await slack.settled()
        await slack.press("👎", channel=GENERAL, ts=post.ts, user=ANN)
        view = await slack.next_view()
        await slack.settled()
        assert [action.deed for action in rated.actions] == [Press("bad", "t1", message_id=f"{GENERAL}:{post.ts}")]
        delivery = await slack.submit(view, " It is ten. ", user=ANN)
        await slack.submit(view, None, user=ANN)
        await slack.settled()

    first, second = rated.actions
    assert second.deed == Press("bad", "t1", "It is ten.", f"{GENERAL}:{post.ts}")
    assert (second.key, second.reply_to, second.author) == (first.key, first.reply_to, first.author)
    assert first.event_id != second.event_id
    assert view["blocks"][0]["label"]["text"] == "What was wrong?"
    assert delivery.acked.is_set()


async def test_a_press_that_waits_for_its_answer_comes_once_with_words_or_without(slack: FakeSlack):
    platform, may = platform_of(slack), iter([True, True, False])
    platform.use_questions(lambda _: next(may))
    rated = Rated(platform)
    async with running(platform, rated, slack):
        await slack.say(f"{MENTION} when?", channel=GENERAL, user=ANN)
        post = await slack.next_post()
        await slack.settled()
        await slack.press("Deny", channel=GENERAL, ts=post.ts, user=ANN)
        view = await slack.next_view()
        await slack.settled()
        assert rated.actions == []
        delivery = await slack.submit(view, " Use the archive. ", user=ANN)
        await slack.press("Deny", channel=GENERAL, ts=post.ts, user=BEN)
        await slack.submit(await slack.next_view(), None, user=BEN)
        await slack.press("Deny", channel=GENERAL, ts=post.ts, user=BEN)
        await slack.settled()

    assert [(action.author.id, action.deed) for action in rated.actions] == [
        (ANN, Press("deny", DENY.about, "Use the archive.", f"{GENERAL}:{post.ts}")),
        *[(BEN, Press("deny", DENY.about, "", f"{GENERAL}:{post.ts}"))] * 2,
    ]
    assert (view["title"]["text"], view["submit"]["text"], view["close"]["text"]) == ("Deny", "Deny", "Cancel")
    assert len(slack.views) == 2  # nobody is asked why whose answer would not count
    assert view["blocks"][0]["optional"]
    assert delivery.acked.is_set()


@pytest.mark.parametrize("label", ["👎", "Deny"])
@pytest.mark.parametrize("slow", [False, True])
async def test_a_press_counts_though_the_question_cannot_be_asked(
    slack: FakeSlack, label: str, slow: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr("dspy_session_slack.inbound.interactions.PATIENCE", 0.05)
    fault = held(asyncio.Event()) if slow else refused("expired_trigger_id")
    platform = platform_of(slack)
    rated = Rated(platform)
    async with running(platform, rated, slack):
        await slack.say("when?", channel=ANNS_DM, user=ANN)
        post = await slack.next_post()
        slack.fail("views.open", fault)
        delivery = await slack.press(label, channel=ANNS_DM, ts=post.ts, user=ANN)
        await slack.settled()
        if fault.until is not None:
            fault.until.set()

    button = DENY if label == "Deny" else BAD
    pressed = Press(button.action, button.about, message_id=f"{ANNS_DM}:{post.ts}")
    assert [action.deed for action in rated.actions] == [pressed]
    assert delivery.acked.is_set()
    assert f"The question of the button '{button.action}' was not asked" in caplog.text


async def test_a_press_that_the_bot_could_not_take_is_not_acknowledged(slack: FakeSlack):
    await platform_of(slack).post(Post(some_inbound(), Reply("Nine.", buttons=(GOOD,))))
    failing = asyncio.Event()

    async def receive(event: Event) -> None:
        failing.set()
        raise StoreError("the disk is full")

    async with running(platform_of(slack), receive, slack):
        delivery = await slack.press("👍", channel=ANNS_DM, ts=slack.posts[0].ts, user=ANN)
        await failing.wait()

    assert not delivery.acked.is_set()


async def test_a_joined_app_keeps_its_own_buttons(slack: FakeSlack):
    app = AsyncApp(client=AsyncWebClient(base_url=slack.base_url, token=slack.bot_token))
    theirs: list[str] = []

    async def on_press(ack: Any, action: dict[str, Any]) -> None:
        await ack()
        theirs.append(action["value"])

    answered_theirs: list[str] = []

    async def on_answer(ack: Any, view: dict[str, Any]) -> None:
        await ack()
        answered_theirs.append(view["callback_id"])

    app.action("order")(on_press)
    app.view("order-form")(on_answer)
    platform = Slack(app=app, app_token=slack.app_token, ping_interval=0.5)
    rated = Rated(platform)
    order = {"type": "button", "action_id": "order", "value": "soup", "text": {"type": "plain_text", "text": "Order"}}
    async with running(platform, rated, slack):
        await platform.post(Post(some_inbound(), Reply("Nine.", buttons=(GOOD,))))
        menu = await app.client.chat_postMessage(
            channel=ANNS_DM, text="menu", blocks=[{"type": "actions", "elements": [order]}]
        )
        await slack.press("Order", channel=ANNS_DM, ts=menu["ts"], user=ANN)
        await slack.submit({"type": "modal", "callback_id": "order-form", "blocks": []}, None, user=ANN)
        await slack.press("👍", channel=ANNS_DM, ts=slack.posts[0].ts, user=ANN)
        await slack.settled()

    assert theirs == ["soup"]
    assert answered_theirs == ["order-form"]
    pressed = Press("good", "t1", message_id=f"{ANNS_DM}:{slack.posts[0].ts}")
    assert [action.deed for action in rated.actions] == [pressed]
