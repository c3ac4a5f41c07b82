"""The workspaces that the app is installed in: looked up, signed in to, their tokens exchanged in time."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import pytest
from slack_sdk.oauth.installation_store import Installation
from slack_sdk.oauth.token_rotation.async_rotator import AsyncTokenRotator
from slack_sdk.web.async_client import AsyncWebClient

from dspy_session.errors import PlatformUnavailableError
from dspy_session_slack.home import Home
from dspy_session_slack.installing.installations import VaultInstallations
from dspy_session_slack.installing.installed import FRESH, REFUSED_SECONDS, InstalledWorkspaces, NotInstalledError
from dspy_session_slack.installing.leaving import SKEW, Leaving
from tests.chat.places import saying
from tests.loopback.slack import FakeSlack, refused
from tests.loopback.slack.oauth import CLIENT_ID, LIFE
from tests.slack.installs import CREDENTIALS, Clock, Shelf, on_the_shelf, scene, warnings


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


class Deleting(Shelf):
    """A store of bots that can delete them."""

    async def async_delete_all(self, *, enterprise_id: str | None, team_id: str | None) -> None:
        self.bots.pop((enterprise_id, team_id), None)


async def test_taken_out_within_the_skew_of_two_clocks_slack_tells_whether_it_is_back(
    slack: FakeSlack, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO, "dspy_session_slack.installing.installed")
    shelf, clock, home = Deleting(), Clock(), Home("T1")
    workspaces = InstalledWorkspaces(shelf, AsyncWebClient(base_url=slack.base_url), None, clock)
    await on_the_shelf(slack, shelf)  # at 1.0
    told, long_ago = Leaving(at=1 - SKEW), Leaving(at=2 + SKEW)

    await workspaces.left(home, told)
    assert shelf.bots, "its token is good: it came back"
    slack.fail("auth.test", refused("internal_error"))
    with pytest.raises(PlatformUnavailableError, match="Slack cannot be reached"):
        await workspaces.left(home, told)
    assert shelf.bots, "that comes again"
    slack.fail("auth.test", refused("token_revoked"))
    await workspaces.left(home, told)
    assert not shelf.bots, "our clock was ahead"

    await on_the_shelf(slack, shelf)
    asked = len(slack.called("auth.test"))
    caplog.clear()
    await asyncio.gather(
        workspaces.left(home, long_ago), workspaces.left(home, long_ago)
    )  # both events that Slack sends
    assert caplog.messages == ["The Slack app was taken out of T1; conversations deleted: 0"]
    assert (shelf.bots, len(slack.called("auth.test"))) == ({}, asked), "no clock is off by that"
