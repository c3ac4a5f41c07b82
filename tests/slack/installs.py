"""People who install the app in their workspaces, and where it is kept that they did."""

from __future__ import annotations

import asyncio
import html
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import dspy
import pytest
from aiohttp import ClientSession
from slack_sdk.oauth.installation_store import Bot, Installation
from slack_sdk.oauth.installation_store.async_installation_store import AsyncInstallationStore

from dspy_session.conversation import Conversations
from dspy_session.stores import MemoryStore
from dspy_session_slack import OAuth, Slack
from tests.loopback.slack import FakeSlack
from tests.loopback.slack.oauth import CLIENT_ID, CLIENT_SECRET
from tests.loopback.slack.workspace import Team
from tests.slack.door import Door, door_for
from tests.slack.talk import ANN, ANNS_DM, Echo, platform_of

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
