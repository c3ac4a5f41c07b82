"""Joining a Bolt app that has handlers of its own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from dspy_session.errors import PlatformError
from dspy_session_slack import Slack, conversation_key
from tests.loopback.slack import FakeSlack
from tests.slack.talk import ANN, ANNS_DM, GENERAL, MENTION, Echo, running


class TheirApp:
    """A company's app, with a listener for messages, one for reactions and a middleware."""

    def __init__(self, slack: FakeSlack) -> None:
        self.app = AsyncApp(client=AsyncWebClient(base_url=slack.base_url, token=slack.bot_token))
        self.heard: list[str] = []
        self.keys: list[str] = []
        self.reacted = asyncio.Event()
        self.app.middleware(self._pass_on)
        self.app.message("hello")(self._on_message)
        self.app.event("reaction_added")(self._on_reaction)

    async def _pass_on(self, next_: Any) -> None:
        await next_()

    async def _on_message(self, event: dict[str, Any], body: dict[str, Any]) -> None:
        self.heard.append(event["text"])
        self.keys += [str(conversation_key(event)), str(conversation_key(body))]

    async def _on_reaction(self) -> None:
        self.reacted.set()


async def test_both_answer_to_their_own(slack: FakeSlack):
    theirs = TheirApp(slack)
    platform = Slack(app=theirs.app, app_token=slack.app_token, ping_interval=0.5)
    echo = Echo(platform)
    async with running(platform, echo, slack):
        await slack.say(f"{MENTION} hello", channel=GENERAL, user=ANN)
        await slack.say("hello, Ben", channel=GENERAL, user=ANN)
        await slack.say("good night", channel=ANNS_DM, user=ANN)
        await slack.send({"type": "reaction_added", "user": ANN, "reaction": "eyes", "item": {"type": "message"}})
        await slack.send({"type": "team_join", "user": {"id": "U0NEW"}})
        await slack.settled()
        await theirs.reacted.wait()

    assert sorted(theirs.heard) == [f"{MENTION} hello", "hello, Ben"]
    assert sorted(echo.texts) == ["good night", "hello"]
    assert {str(each.key) for each in echo.received if each.text == "hello"} <= set(theirs.keys)
    assert all(delivery.acked.is_set() for delivery in slack.deliveries)


async def test_an_app_joined_twice_answers_once(slack: FakeSlack):
    theirs = TheirApp(slack)
    platform = Slack(app=theirs.app, app_token=slack.app_token, ping_interval=0.5)
    for _ in range(2):
        async with running(platform, Echo(platform), slack):
            await slack.say("good night", channel=ANNS_DM, user=ANN)
            await slack.next_post()
            await slack.settled()

    assert len(slack.posts) == 2


async def test_an_app_we_left_is_as_it_was(slack: FakeSlack, caplog: pytest.LogCaptureFixture):
    theirs = TheirApp(slack)
    platform = Slack(app=theirs.app, app_token=slack.app_token, ping_interval=0.5)
    echo = Echo(platform)
    async with running(platform, echo, slack):
        pass

    from slack_bolt.request.async_request import AsyncBoltRequest

    event = {"type": "message", "channel": ANNS_DM, "channel_type": "im", "user": ANN, "ts": "1.1", "text": "hello"}
    body = {"type": "event_callback", "team_id": "T0LOOPBACK", "event": event}
    taken = await theirs.app.async_dispatch(AsyncBoltRequest(body=body, mode="socket_mode"))
    event = event | {"type": "team_join"}
    left = await theirs.app.async_dispatch(AsyncBoltRequest(body={**body, "event": event}, mode="socket_mode"))

    assert (taken.status, left.status) == (200, 404)
    assert echo.received == []
    assert theirs.app.client.session is None


async def test_a_joined_app_needs_a_bot_token(slack: FakeSlack):
    async def authorize() -> None:
        return None

    platform = Slack(app=AsyncApp(authorize=authorize), app_token=slack.app_token)

    with pytest.raises(PlatformError, match="there is no Slack bot token"):
        await platform.run(Echo(platform))
    assert "Slack(app=" in repr(platform)
