"""Installing the app: who comes back is who was sent, and where it is kept that they did."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from slack_sdk.oauth.installation_store import FileInstallationStore, Installation

from dspy_session.errors import ConfigurationError, PlatformError
from dspy_session.stores import Kept, MemoryStore
from dspy_session_slack import OAuth, Slack
from dspy_session_slack.installing.installations import VaultInstallations, VaultStates
from dspy_session_slack.installing.pages import authorization_url
from tests.loopback.slack import BOT, FakeSlack, server_error
from tests.loopback.slack.oauth import CLIENT_ID, CLIENT_SECRET, LIFE
from tests.slack.installs import Browser, Clock, Shelf, scene, warnings
from tests.slack.talk import ANN, Echo


async def in_vain(browser: Browser, status: int, said: str, query: str, cookie: str = "") -> None:
    answered, page = await browser.come_back(query, cookie)
    assert (answered, said in page, '<a href="install">' in page) == (status, True, True), page
    assert "<script" not in page


async def test_who_comes_back_is_who_was_sent_and_once_and_in_time(caplog: pytest.LogCaptureFixture):
    async with scene(redirect_uri="https://bot.example/slack/oauth_redirect") as on:
        query, cookie = await on.browser.leave()
        await in_vain(on.browser, 400, "another browser", query)
        assert (await on.browser.come_back(query, cookie))[0] == 200
        await in_vain(on.browser, 400, "you have come here before", query, cookie)

        query, cookie = await on.browser.leave()
        for name in await on.store.names("slack:state:"):
            await on.store.put(Kept(name, "", 1.0))
        await in_vain(on.browser, 400, "It took too long", query, cookie)

        query, cookie = await on.browser.leave()
        await in_vain(on.browser, 400, "could not be finished with Slack", query.replace("code=", "code=x"), cookie)
        await in_vain(on.browser, 200, "You did not allow it; nothing was installed.", "error=access_denied")
        await in_vain(on.browser, 400, "(invalid_scope)", "error=invalid_scope")
        await in_vain(on.browser, 400, "(no reason given)", "error=%3Cscript%3E")
        query, cookie = await on.browser.leave()
        on.slack.fail("oauth.v2.access", server_error(502), times=9)
        await in_vain(on.browser, 400, "could not be finished with Slack", query, cookie)
        status, _ = await on.door.http.request(b"", {})
        assert status == 401, "the events are somewhere else"
    assert not any(record.exc_info for record in caplog.records)


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
