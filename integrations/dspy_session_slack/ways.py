"""The ways between Slack and the bot: how Slack is called, which workspaces there are, where what happens comes in."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property

from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from dspy_session.errors import PlatformError
from dspy_session_chat.action import Event
from dspy_session_slack.home import Home
from dspy_session_slack.installing.many import Many, installed_by_oauth, installed_in
from dspy_session_slack.installing.pages import Installing
from dspy_session_slack.oauth import OAuth
from dspy_session_slack.reception import Reception
from dspy_session_slack.refusals import TokenRefusedError
from dspy_session_slack.setup.scopes import Features
from dspy_session_slack.told import Told
from dspy_session_slack.transport.bolt_app import BoltApp, Take, own_app
from dspy_session_slack.transport.entrance import Entrance
from dspy_session_slack.transport.transports import Asked
from dspy_session_slack.web_client import web_client
from dspy_session_slack.workspace import Workspace
from dspy_session_slack.workspaces import OneWorkspace, Workspaces


@dataclass(frozen=True, slots=True)
class Given:
    """What somebody gave for the ways between Slack and the bot.

    Args:
        asked: Which way Slack is to reach the bot.
        bot_token: The bot token.
        app: A Bolt app to join.
        client: A client to call Slack with.
        oauth: Lets many workspaces install the app.
    """

    asked: Asked
    bot_token: str | None = None
    app: AsyncApp | None = None
    client: AsyncWebClient | None = None
    oauth: OAuth | None = None


class Ways:
    """The ways between Slack and the bot.

    Each is made when it is first needed: tokens may come from an ``.env`` file that is read after us, and where
    installations are kept the bot tells before it runs.

    Args:
        given: What somebody gave for them.
        told: What the bot told the platform.
        reception: Takes in what comes; None while the platform does not run.
    """

    def __init__(self, given: Given, told: Callable[[], Told], reception: Callable[[], Reception | None]) -> None:
        self._given = given
        self._told = told
        self._reception = reception

    @cached_property
    def client(self) -> AsyncWebClient:
        """Calls Slack."""
        client, app = self._given.client, self._given.app
        token = self._given.bot_token or (client.token if client is not None else None)
        if self._given.oauth is not None or (app is not None and app.installation_store is not None):
            return web_client(client, token)
        return web_client(client, token or os.environ.get("SLACK_BOT_TOKEN"))

    @cached_property
    def many(self) -> Many | None:
        """What an app takes that many workspaces install; None for the app of one."""
        app, oauth, told = self._given.app, self._given.oauth, self._told()
        if oauth is not None:
            asking = oauth.asking(Features(assistant=told.assistant is not None, workspaces=True))
            return installed_by_oauth(asking, self.client, told.conversations, time.time)
        return None if app is None else installed_in(app, self.client, time.time)

    @cached_property
    def workspaces(self) -> Workspaces:
        """The workspaces that there are."""
        return OneWorkspace(self.client) if self.many is None else self.many.workspaces

    @cached_property
    def entrance(self) -> Entrance:
        """Where what happens comes in."""

        def make(take: Take) -> AsyncApp:
            return own_app(self.client, take, many=self.many is not None)

        bolt = BoltApp(self._given.app, make, self._reception)
        return Entrance(self._given.asked, bolt, None if self._given.oauth is None else self._installing)

    async def workspace(self, event: Event) -> Workspace:
        """The workspace that something came from.

        Raises:
            PlatformError: The app is not installed there, Slack does not let us in, or cannot be reached.
        """
        return await self.workspaces.find(Home.of(event))

    @asynccontextmanager
    async def at(self, event: Event) -> AsyncIterator[Workspace]:
        """The workspace that something came from, whose token turns out to be good, or not.

        Raises:
            PlatformError: The app is not installed there, Slack does not let us in, or cannot be reached.
        """
        home = Home.of(event)
        try:
            yield await self.workspaces.find(home)
        except TokenRefusedError:
            self.workspaces.renew(home)
            raise

    async def renewed(self, event: Event) -> Workspace | None:
        """The workspace with the token that it has by now: another process may have exchanged it for ours."""
        try:
            return await self.workspace(event)
        except PlatformError:
            return None

    def _installing(self) -> Installing | None:
        return None if self.many is None or self._reception() is None else self.many.installing
