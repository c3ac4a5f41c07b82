"""Many workspaces install the app: each is answered with its own token, and goes without taking the others along."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from pathlib import Path
from typing import Any

import dspy
import pytest
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.oauth.async_oauth_settings import AsyncOAuthSettings
from slack_sdk.web.async_client import AsyncWebClient

from dspy_session.conversation import Conversations
from dspy_session.errors import PlatformError, StoreError
from dspy_session.stores import Arrival, Forget, MemoryStore, SealedStore, SealingKey
from dspy_session_chat import Bot
from dspy_session_chat.inbound import Inbound
from dspy_session_slack import OAuth, Slack
from dspy_session_slack.installing.installed import NotInstalledError
from dspy_session_slack.setup.scopes import Features, bot_scopes
from tests.chat.places import saying
from tests.loopback.slack import BOT, FakeSlack
from tests.loopback.slack.oauth import CLIENT_SECRET
from tests.loopback.slack.workspace import Team
from tests.slack.door import door_for, until
from tests.slack.installs import CREDENTIALS, EVENTS, Browser, Shelf, on_the_shelf, scene, warnings
from tests.slack.talk import ANN, ANNS_DM, GENERAL, MENTION, platform_of


async def test_each_workspace_is_answered_with_its_own_token_and_one_goes_alone(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    store = SealedStore(beneath := MemoryStore(), SealingKey.generate())
    async with scene(store=store) as on:
        for team in (on.slack, on.other):
            await on.browser.install(team)
            await on.say(team, "hello")
        assert on.slack.installs.scopes == ",".join(bot_scopes(Features()))
        assert [post.text for post in (*on.slack.posts, *on.other.posts)] == ["echo: hello"] * 2
        assert [str(inbound.key) for inbound in on.echo.received] == ["slack:T0LOOPBACK:D0ANN", "slack:T0OTHER:D0ANN"]
        for team in (on.slack, on.other):
            token = on.slack.installs.latest(team)
            assert {call.token for call in team.called("chat.postMessage")} == {token}
            assert token not in caplog.text
        assert CLIENT_SECRET not in caplog.text
        kept = [await beneath.get(name) for name in await beneath.names()]
        assert not any(token in str(each) for each in kept for token in on.slack.installs.given)

        on.slack.installs.revoke(on.other, "account_inactive")
        leaving = [{"type": "tokens_revoked", "tokens": {"oauth": [ANN], "bot": [BOT.id]}}, {"type": "app_uninstalled"}]
        for event in leaving:
            await on.other.send(event | {"event_ts": f"{time.time()}"})
        await on.slack.settled()
        await on.say(on.other, "is anybody there?")
        await on.say(on.slack, "and here?")
        assert on.slack.posts[-1].text == "echo: and here?"
        assert len(on.other.posts) == 1
        with pytest.raises(NotInstalledError, match="not installed in T0OTHER"):
            await on.platform.post(saying(on.echo.received[1], "late"))

        await on.browser.install(on.other)
        for event in leaving:
            await on.other.send(
                event | {"event_ts": f"{time.time() - 3600}"}
            )  # told late, and not of what is there now
        await on.slack.settled()
        await on.say(on.other, "back again")
        assert on.other.posts[-1].text == "echo: back again"
    assert warnings(caplog) == ["the Slack app is not installed in T0OTHER: somebody there has to install it"]
    assert all(status == 200 for status in on.door.http.statuses)


async def test_in_a_shared_channel_it_answers_as_the_workspace_that_installed_it(caplog: pytest.LogCaptureFixture):
    async with scene() as on:
        for team in (on.slack, on.other):
            await on.browser.install(team)
        place, their = on.other.workspace.channels[GENERAL], {"team": "T0THEIRS", "user_team": "T0THEIRS"}
        written = {"type": "message", "user": "U0STRANGER", "text": f"{MENTION} hello", **their}
        event = on.other.workspace.write(place, written) | {"channel": GENERAL, "channel_type": "channel"}
        ours = {"team_id": "T0OTHER", "enterprise_id": None, "user_id": BOT.id, "is_bot": True}
        body = {"type": "event_callback", "team_id": "T0THEIRS", "context_team_id": "T0THEIRS", "event": event}
        body |= {"is_ext_shared_channel": True, "authorizations": [ours | {"is_enterprise_install": False}]}

        assert (await on.door.send(json.dumps(body).encode()))[0] == 200

        (post,) = on.other.posts
        assert (post.text, post.thread_ts) == ("echo: hello", event["ts"])
        assert post.call.token == on.slack.installs.latest(on.other)
        assert [inbound.key.workspace for inbound in on.echo.received] == ["T0OTHER"]
    assert warnings(caplog) == []


async def test_taken_out_while_it_answers_it_says_so_and_remembers_the_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    asked, go_on, store = asyncio.Event(), asyncio.Event(), f"sqlite:///{tmp_path}/bot.db"

    class Slow(dspy.Module):
        """An agent that takes its time."""

        async def aforward(self, question: str) -> dspy.Prediction:
            asked.set()
            await go_on.wait()
            return dspy.Prediction(answer=question)

    async def not_posted() -> list[str]:
        return [each for each in warnings(caplog) if "was not posted" in each]

    async with FakeSlack(events=EVENTS) as slack, door_for(slack) as door:
        none: dict[str, Any] = {"bot_token": None, "app_token": None}
        platform = platform_of(slack, signing_secret=slack.signing_secret, oauth=OAuth(**CREDENTIALS), **none)
        door.mount(platform)
        async with Bot(Slow(), platforms=[platform], store=store):
            await door.open()
            await Browser(door, slack).install(slack)
            await slack.say("hello", channel=ANNS_DM, user=ANN)
            await asked.wait()
            slack.installs.revoke(slack, "account_inactive")
            await slack.send({"type": "app_uninstalled", "event_ts": f"{time.time()}"})
            await slack.settled()
            go_on.set()
            (told,) = await until(not_posted, bool)

    assert told.endswith("the Slack app is not installed in T0LOOPBACK: somebody there has to install it")
    async with Conversations(Slow(), store) as conversations:
        (turn,) = (await conversations.state("slack:T0LOOPBACK:D0ANN")).turns
    assert turn.outputs == {"answer": "hello"}


async def test_a_token_that_is_void_all_of_a_sudden_is_noticed_and_told_once(caplog: pytest.LogCaptureFixture):
    async with scene() as on:
        await on.browser.install(on.slack)
        await on.say(on.slack, "hello")
        on.slack.installs.revoke(on.slack)
        with pytest.raises(PlatformError, match=r"the bot token is not accepted by Slack \(token_revoked\)"):
            await on.platform.post(saying(on.echo.received[0], "late"))
        for _ in range(3):
            await on.say(on.slack, "hello?")
        assert on.echo.texts == ["hello"]
    said = warnings(caplog)
    assert len(said) == 1
    assert said[0].startswith(
        "the Slack app cannot work in T0LOOPBACK until it is installed anew: the bot token is not"
    )


class Unwilling(MemoryStore):
    """A store that does not forget at once."""

    has_failed = False

    async def forget(self, forget: Forget) -> int:
        if not self.has_failed:
            self.has_failed = True
            raise StoreError("the disk is full")
        return await super().forget(forget)


async def test_an_organisation_installs_it_for_all_its_workspaces_and_is_forgotten_with_them():
    org = Team("T0LOOPBACK", "E0ORG", org_wide=True)
    async with scene(team=org, store=Unwilling(), forget=True) as on:
        await on.browser.install(on.slack)
        await on.browser.install(on.other)
        for team in (on.slack, on.other):
            await on.say(team, "hello")
        (inbound, _) = on.echo.received
        assert inbound.reply_to == {"channel": ANNS_DM, "enterprise": "E0ORG", "org_wide": True}
        assert on.slack.posts[-1].text == "echo: hello"

        for key in ("slack:T0LOOPBACK:D0ANN", "slack:T0OTHER:D0ANN"):
            await on.conversations.acall(key, question="hello")
        waiting = Arrival("slack:T0LOOPBACK:C1", "e1", "{}", 1.0, 1.0)
        await on.store.receive(waiting)
        event = {"type": "app_uninstalled", "event_ts": "1.1"}
        body = {"type": "event_callback", "team_id": None, "enterprise_id": "E0ORG", "event": event}
        assert [(await on.door.send(json.dumps(body).encode()))[0] for _ in range(2)] == [503, 200]

        assert [info.key for info in await on.conversations.list()] == ["slack:T0OTHER:D0ANN"]
        assert await on.store.pending(waiting.key) == []
        await on.say(on.slack, "is anybody there?")
        assert len(on.echo.received) == 2
        assert [name for name in await on.store.names() if "E0ORG" in name] == []


async def test_an_app_that_we_join_may_have_many_workspaces_of_its_own(slack: FakeSlack):
    shelf = Shelf()
    await on_the_shelf(slack, shelf)
    settings = AsyncOAuthSettings(**CREDENTIALS, scopes=["chat:write"], installation_store=shelf)
    theirs = AsyncApp(
        client=AsyncWebClient(base_url=slack.base_url), signing_secret=slack.signing_secret, oauth_settings=settings
    )
    platform = Slack(app=theirs, app_token=slack.app_token)
    heard: list[Inbound] = []

    async def receive(event: Any) -> None:
        heard.append(event)
        await platform.post(saying(event, "yes"))

    run = asyncio.create_task(platform.run(receive))
    await slack.connected()
    body = {"type": "event_callback", "team_id": "T1", "event_id": "Ev1", "event": {"type": "message", "user": ANN}}
    body["event"] |= {"channel": ANNS_DM, "channel_type": "im", "ts": "1700.1", "text": "hello"}  # type: ignore[operator]
    slack.sockets.deliver(body)
    assert (await slack.next_post()).text == "yes"
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    assert heard[0].key.workspace == "T1"
