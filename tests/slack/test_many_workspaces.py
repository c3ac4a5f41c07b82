"""Many workspaces install the app: each is answered with its own token, and goes without taking the others along."""

from __future__ import annotations

import asyncio
import html
import json
import logging
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dspy
import pytest
from aiohttp import ClientSession
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.oauth.async_oauth_settings import AsyncOAuthSettings
from slack_sdk.oauth.installation_store import Bot, FileInstallationStore, Installation
from slack_sdk.oauth.installation_store.async_installation_store import AsyncInstallationStore
from slack_sdk.oauth.token_rotation.async_rotator import AsyncTokenRotator
from slack_sdk.web.async_client import AsyncWebClient

from dspy_session.conversation import Conversations
from dspy_session.errors import ConfigurationError, PlatformError, PlatformUnavailableError, StoreError
from dspy_session.stores import Arrival, Forget, Kept, MemoryStore, SealedStore, SealingKey
from dspy_session_chat.inbound import Inbound
from dspy_session_slack import OAuth, Slack
from dspy_session_slack.home import Home
from dspy_session_slack.installations import VaultInstallations, VaultStates
from dspy_session_slack.installed import FRESH, REFUSED_SECONDS, InstalledWorkspaces, NotInstalledError
from dspy_session_slack.installing import authorization_url
from dspy_session_slack.scopes import Features, bot_scopes
from tests.chat.places import saying
from tests.loopback.slack import BOT, FakeSlack, refused, server_error
from tests.loopback.slack.oauth import CLIENT_ID, CLIENT_SECRET, LIFE
from tests.loopback.slack.workspace import Team
from tests.slack.door import Door, door_for
from tests.slack.talk import ANN, ANNS_DM, GENERAL, MENTION, Echo, platform_of

EVENTS = frozenset({"message.im", "app_uninstalled", "tokens_revoked"})
CREDENTIALS: dict[str, Any] = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}


class Parrot(dspy.Module):
    """An agent without a model."""

    async def aforward(self, question: str) -> dspy.Prediction:
        return dspy.Prediction(answer=question)


class Browser:
    """Somebody who installs the app.

    Args:
        door: Where the bot's pages are.
        slack: Where they say yes.
    """

    def __init__(self, door: Door, slack: FakeSlack) -> None:
        self._pages = door.http.url.removesuffix("/events")
        self._slack = slack

    async def get(self, url: str, **headers: str) -> tuple[int, str, dict[str, str]]:
        async with ClientSession() as session, session.get(url, headers=headers, allow_redirects=False) as answer:
            return answer.status, await answer.text(), dict(answer.headers)

    async def leave(self) -> tuple[str, str]:
        """Go to Slack, and say yes there: what one is sent back with, and the cookie."""
        status, page, headers = await self.get(f"{self._pages}/install")
        assert (status, headers["Cache-Control"]) == (200, "no-store")
        link = re.search(r'href="([^"]+authorize[^"]+)"', page)
        assert link is not None
        status, _, yes = await self.get(html.unescape(link[1]))
        assert status == 302, "Slack asks what is to be installed"
        return urlsplit(yes["Location"]).query, headers["Set-Cookie"].partition(";")[0]

    async def come_back(self, query: str, cookie: str = "") -> tuple[int, str]:
        status, page, _ = await self.get(
            f"{self._pages}/oauth_redirect?{query}", **({"Cookie": cookie} if cookie else {})
        )
        return status, page

    async def install(self, team: FakeSlack) -> None:
        self._slack.installs.installing = team
        status, page = await self.come_back(*await self.leave())
        assert (status, "Thank you" in page) == (200, True), page


@dataclass
class Scene:
    """An app that two workspaces may install, and runs."""

    slack: FakeSlack
    other: FakeSlack
    door: Door
    platform: Slack
    conversations: Conversations
    echo: Echo
    browser: Browser
    store: Any
    texts: list[str] = field(default_factory=list)

    async def say(self, team: FakeSlack, text: str) -> None:
        await team.say(text, channel=ANNS_DM, user=ANN)
        await self.slack.settled()


@asynccontextmanager
async def scene(team: Team | None = None, store: Any = None, **options: Any) -> AsyncIterator[Scene]:
    store = store or MemoryStore()
    async with (
        FakeSlack(events=EVENTS, team=team) as slack,
        FakeSlack(events=EVENTS, team=Team("T0OTHER"), beside=slack) as other,
        Conversations(Parrot(), store) as conversations,
        door_for(slack) as door,
    ):
        oauth = OAuth(**CREDENTIALS | options)
        platform = platform_of(slack, bot_token=None, app_token=None, signing_secret=slack.signing_secret, oauth=oauth)
        door.mount(platform)
        platform.use_conversations(conversations)
        echo = Echo(platform)
        run = asyncio.create_task(platform.run(echo))
        try:
            await door.open()
            yield Scene(slack, other, door, platform, conversations, echo, Browser(door, slack), store)
            assert not run.done(), "it stays up"
        finally:
            run.cancel()
            await asyncio.gather(run, return_exceptions=True)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


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


async def test_who_comes_back_is_who_was_sent_and_once_and_in_time(caplog: pytest.LogCaptureFixture):
    async with scene(redirect_uri="https://bot.example/slack/oauth_redirect") as on:
        query, cookie = await on.browser.leave()
        assert (await on.browser.come_back(query))[0] == 400, "another browser"
        assert (await on.browser.come_back(query, cookie))[0] == 200
        assert (await on.browser.come_back(query, cookie))[0] == 401, "it was used up"

        query, cookie = await on.browser.leave()
        for name in await on.store.names("slack:state:"):
            await on.store.put(Kept(name, "", 1.0))
        assert (await on.browser.come_back(query, cookie))[0] == 401, "it took too long"

        query, cookie = await on.browser.leave()
        forged = query.replace("code=", "code=x")
        assert (await on.browser.come_back(forged, cookie))[0] == 401
        assert (await on.browser.come_back("error=access_denied"))[0] == 200, "they said no"
        status, page = await on.browser.come_back("error=%3Cscript%3E")
        assert "<script>" not in page
        query, cookie = await on.browser.leave()
        on.slack.fail("oauth.v2.access", server_error(502), times=9)
        assert (await on.browser.come_back(query, cookie))[0] == 401
        status, _ = await on.door.http.request(b"", {})
        assert status == 401, "the events are somewhere else"
    assert not any(record.exc_info for record in caplog.records)


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


async def test_a_token_is_exchanged_before_it_expires_and_the_place_is_remembered(caplog: pytest.LogCaptureFixture):
    async with scene() as on:
        installs = on.slack.installs
        installs.rotates, installs.life = True, 60  # of LIFE, no more than this is left
        await on.browser.install(on.slack)
        first = installs.latest(on.slack)
        installs.life = LIFE
        await on.say(on.slack, "hello")
        second = installs.latest(on.slack)
        assert first in installs.void
        assert {call.token for call in on.slack.called("chat.postMessage")} == {second}
        await on.say(on.slack, "hello again")
        assert installs.latest(on.slack) == second, "no need yet"
        assert len(on.slack.called("auth.test")) == 2, "once when it was installed, once when it was spoken to"
    assert warnings(caplog) == []


class Behind(VaultInstallations):
    """Installations as another process saw them a moment ago."""

    seen: Installation | None = None

    async def async_find_installation(self, **where: Any) -> Installation | None:
        seen, self.seen = self.seen, None
        return seen or await super().async_find_installation(**where)


async def test_of_two_processes_that_exchange_a_token_both_have_the_new_one(caplog: pytest.LogCaptureFixture):
    async with scene() as on:
        installs, client = on.slack.installs, AsyncWebClient(base_url=on.slack.base_url)
        installs.rotates, installs.life = True, 60
        await on.browser.install(on.slack)
        installs.life = LIFE
        late = Behind(on.store, CLIENT_ID)
        late.seen = await late.async_find_installation(enterprise_id=None, team_id="T0LOOPBACK")
        rotator = AsyncTokenRotator(**CREDENTIALS, client=client)
        processes = [
            InstalledWorkspaces(installations, client, rotator, time.time)
            for installations in (VaultInstallations(on.store, CLIENT_ID), late)
        ]

        tokens = [(await process.find(Home("T0LOOPBACK"))).client.token for process in processes]

        assert tokens == [installs.latest(on.slack)] * 2
        assert len(on.slack.called("oauth.v2.access")) == 3, "for the code, and for each of them"
    assert warnings(caplog) == []


async def test_a_token_that_another_process_exchanged_is_taken_from_the_store():
    async with scene() as on:
        on.slack.installs.rotates = True
        await on.browser.install(on.slack)
        await on.say(on.slack, "hello")
        installations = VaultInstallations(on.store, CLIENT_ID)
        installed = await installations.async_find_installation(enterprise_id=None, team_id="T0LOOPBACK")
        assert installed is not None
        rotator = AsyncTokenRotator(**CREDENTIALS, client=AsyncWebClient(base_url=on.slack.base_url))
        exchanged = await rotator.perform_token_rotation(installation=installed, minutes_before_expiration=10_000)
        assert exchanged is not None
        await installations.async_save(exchanged)

        await on.platform.post(saying(on.echo.received[0], "late"))

        assert on.slack.posts[-1].text == "late"
        assert on.slack.posts[-1].call.token == exchanged.bot_token


async def test_a_token_that_cannot_be_exchanged_is_used_while_it_is_good(
    slack: FakeSlack, caplog: pytest.LogCaptureFixture
):
    shelf, clock, client = Shelf(), Clock(), AsyncWebClient(base_url=slack.base_url)
    rotator = AsyncTokenRotator(**CREDENTIALS, client=client)
    await on_the_shelf(slack, shelf, bot_refresh_token="xoxe-lost", bot_token_expires_at=2_000)

    assert (await InstalledWorkspaces(shelf, client, rotator, clock).find(Home("T1"))).client.token == slack.bot_token
    assert warnings(caplog) == [
        "The token for T1 could not be exchanged, next try in some minutes: invalid_refresh_token"
    ]
    clock.now = 3_000.0
    with pytest.raises(
        NotInstalledError, match=r"installed anew: its token cannot be exchanged \(invalid_refresh_token"
    ):
        await InstalledWorkspaces(shelf, client, rotator, clock).find(Home("T1"))
    slack.fail("oauth.v2.access", refused("internal_error"))
    with pytest.raises(PlatformUnavailableError, match=r"the token for T1 cannot be exchanged: internal_error"):
        await InstalledWorkspaces(shelf, client, rotator, clock).find(Home("T1"))


async def test_without_the_secrets_or_a_store_for_them_it_says_so(slack: FakeSlack, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(
        PlatformError, match=r"set OAuth\(client_id=…\) or SLACK_CLIENT_ID and OAuth\(client_secret=…\)"
    ):
        await Slack(signing_secret="s", oauth=OAuth()).run(Echo(Slack()))
    monkeypatch.setenv("SLACK_CLIENT_ID", CLIENT_ID)
    monkeypatch.setenv("SLACK_CLIENT_SECRET", CLIENT_SECRET)
    with pytest.raises(ConfigurationError, match="kept in the bot's store"):
        await Slack(signing_secret="s", oauth=OAuth()).run(Echo(Slack()))
    with pytest.raises(ConfigurationError, match="state_seconds must be above 0"):
        OAuth(state_seconds=0)
    with pytest.raises(ConfigurationError, match="scopes is a list"):
        OAuth(scopes="chat:write")
    with pytest.raises(ConfigurationError, match="each workspace that installs the app has a bot token"):
        Slack(bot_token="xoxb-1", oauth=OAuth())
    assert CLIENT_SECRET not in repr(OAuth(client_secret=CLIENT_SECRET))
    assert authorization_url("https://www.slack-gov.com/api/") == "https://slack-gov.com/oauth/v2/authorize"


# --- what is found, and what is not -----------------------------------------------------------------------------------


class Shelf(AsyncInstallationStore):
    """Somebody's own store, which knows of bots alone."""

    def __init__(self) -> None:
        self.bots: dict[tuple[str | None, str | None], Bot] = {}
        self.failure: Exception | None = None
        self.asked = 0

    async def async_save(self, installation: Installation) -> None:
        await self.async_save_bot(installation.to_bot())

    async def async_save_bot(self, bot: Bot) -> None:
        self.bots[bot.enterprise_id, bot.team_id] = bot

    async def async_find_bot(
        self, *, enterprise_id: str | None, team_id: str | None, is_enterprise_install: bool | None = False
    ) -> Bot | None:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        return self.bots.get((enterprise_id, team_id))


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


async def on_the_shelf(slack: FakeSlack, shelf: Shelf, **more: Any) -> None:
    await shelf.async_save_bot(
        Bot(team_id="T1", bot_token=slack.bot_token, bot_id="B1", bot_user_id="U1", installed_at=1.0, **more)
    )


async def test_what_is_known_of_a_workspace_is_looked_up_now_and_then(slack: FakeSlack):
    shelf, clock, client = Shelf(), Clock(), AsyncWebClient(base_url=slack.base_url)
    workspaces = InstalledWorkspaces(shelf, client, None, clock)
    await on_the_shelf(slack, shelf)

    found = await asyncio.gather(*(workspaces.find(Home("T1")) for _ in range(5)))
    assert len({id(workspace) for workspace in found}) == 1
    assert (shelf.asked, len(slack.called("auth.test")), found[0].bot.team_id) == (1, 1, "T1")
    clock.now += FRESH + 1
    assert await workspaces.find(Home("T1")) is found[0]
    assert (shelf.asked, len(slack.called("auth.test"))) == (2, 1)
    shelf.bots.clear()
    clock.now += FRESH + 1
    for _ in range(3):
        with pytest.raises(NotInstalledError, match="not installed in T1"):
            await workspaces.find(Home("T1"))
    assert shelf.asked == 3, "it is not asked for ever again"
    await on_the_shelf(slack, shelf)
    clock.now += REFUSED_SECONDS + 1
    assert (await workspaces.find(Home("T1"))).client.token == slack.bot_token


async def test_a_store_or_a_slack_that_is_down_is_no_workspace_that_is_gone(slack: FakeSlack):
    shelf, client = Shelf(), AsyncWebClient(base_url=slack.base_url)
    workspaces = InstalledWorkspaces(shelf, client, None, Clock())
    await on_the_shelf(slack, shelf)

    shelf.failure = RuntimeError("no connection")
    with pytest.raises(PlatformUnavailableError, match=r"the installation in T1 cannot be looked up: .*no connection"):
        await workspaces.find(Home("T1"))
    shelf.failure = None
    slack.fail("auth.test", refused("internal_error"))
    with pytest.raises(PlatformUnavailableError, match="Slack cannot be reached"):
        await workspaces.find(Home("T1"))
    slack.fail("auth.test", refused("token_revoked"))
    with pytest.raises(NotInstalledError, match=r"cannot work in T1 until it is installed anew: .*token_revoked"):
        await workspaces.find(Home("T1"))


async def test_installations_are_found_as_bolt_asks_for_them():
    vault = MemoryStore()
    await vault.open()
    store, foreign = VaultInstallations(vault, "1.2"), VaultInstallations(vault, "1.3")
    ann = Installation(team_id="T1", user_id="U1", bot_token="xoxb-1", bot_scopes="a,b", user_token="xoxp-1")
    ben = Installation(team_id="T1", user_id="U2", bot_token="xoxb-2", bot_token_expires_in=60)
    org = Installation(enterprise_id="E1", team_id="T2", user_id="U1", bot_token="xoxb-3", is_enterprise_install=True)
    for each in (ann, ben, org):
        await store.async_save(each)
    where: dict[str, Any] = {"enterprise_id": None, "team_id": "T1"}

    latest = await store.async_find_installation(**where)
    assert latest is not None
    assert vars(latest) == vars(ben)
    found = await store.async_find_installation(**where, user_id="U1")
    assert found is not None
    assert (found.user_token, found.bot_scopes) == ("xoxp-1", ["a", "b"])
    bot = await store.async_find_bot(**where)
    assert bot is not None
    assert vars(bot) == vars(ben.to_bot())
    everywhere = await store.async_find_bot(enterprise_id="E1", team_id="T9", is_enterprise_install=True)
    assert everywhere is not None
    assert everywhere.bot_token == "xoxb-3"
    assert await store.async_find_bot(enterprise_id="E1", team_id="T9") is None
    assert await foreign.async_find_bot(**where) is None
    await store.async_delete_installation(**where, user_id="U2")
    assert await store.async_find_installation(**where) is None
    assert await store.async_find_installation(**where, user_id="U1") is not None
    await store.async_delete_all(**where)
    await store.async_delete_all(enterprise_id="E1", team_id=None)
    assert await vault.names() == []
    await vault.aclose()


@pytest.mark.parametrize("is_whole", [True, False])
async def test_stores_of_bolts_and_ones_own_do_as_well(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, *, is_whole: bool
):
    store = FileInstallationStore(base_dir=str(tmp_path), client_id=CLIENT_ID) if is_whole else Shelf()
    async with scene(installation_store=store) as on:
        on.slack.installs.rotates, on.slack.installs.life = True, 60
        await on.browser.install(on.slack)
        on.slack.installs.life = LIFE
        await on.browser.install(on.other)
        await on.say(on.slack, "hello")
        assert {call.token for call in on.slack.called("chat.postMessage")} == {on.slack.installs.latest(on.slack)}
        on.slack.installs.revoke(on.other)
        revoked = {"type": "tokens_revoked", "tokens": {"oauth": [ANN], "bot": [BOT.id]}}
        await on.other.send(revoked | {"event_ts": f"{time.time()}"})
        await on.slack.settled()
        await on.say(on.other, "is anybody there?")
        await on.say(on.slack, "and here?")
        assert on.echo.texts == ["hello", "and here?"]
        assert set(on.door.http.statuses) == {200}

    cannot = "The store of installations cannot delete: what it keeps of T0OTHER stays there"
    assert warnings(caplog)[:-1] == ([] if is_whole else [cannot])
    kept = await store.async_find_bot(enterprise_id=None, team_id="T0OTHER")
    assert (kept is None) is is_whole


async def test_what_nobody_came_back_with_is_cleared_out():
    vault, clock = MemoryStore(), Clock()
    await vault.open()
    states = VaultStates(vault, 60.0, clock)
    state = await states.async_issue()
    assert not any(state in name for name in await vault.names()), "what is kept of it is good for nothing"
    clock.now += 100.0
    again = await states.async_issue()
    assert len(await vault.names()) == 1
    assert not await states.async_consume(state)
    assert await states.async_consume(again)
    await vault.aclose()


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
