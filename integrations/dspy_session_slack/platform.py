"""Slack as a platform of the bot."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cached_property
from typing import Any

from slack_bolt.app.async_app import AsyncApp
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient

from dspy_session.errors import ConfigurationError, PlatformError, SessionError
from dspy_session_chat.action import Event
from dspy_session_chat.inbound import Attachment
from dspy_session_chat.platform import Named, Opened, Post, Posted, Receive, Said
from dspy_session_chat.reply import Button
from dspy_session_chat.rules.manners import Manners
from dspy_session_slack.home import Home, home_of
from dspy_session_slack.key import PLATFORM
from dspy_session_slack.opening import open_thread
from dspy_session_slack.orders import Told
from dspy_session_slack.reception import EVENT, Reception
from dspy_session_slack.sign_in import check_fetching, check_tokens
from dspy_session_slack.socket_mode import connected
from dspy_session_slack.split import to_messages
from dspy_session_slack.web_client import keeping_connections, web_client
from dspy_session_slack.workspace import Workspace
from dspy_session_slack.workspaces import OneWorkspace

_log = logging.getLogger(__name__)

EDIT_SECONDS = 1.2
"""``chat.update`` is of Slack's third tier, 50 calls a minute: one every 1.2 seconds."""


class Slack:
    """Talks to people in Slack, over Socket Mode: DMs, mentions, and the threads that a mention opens.

    The bot hears all that is said and done where it is: of each message, whether it came by a DM, by a mention, in a
    thread that the bot is in, or was said among others. A mention in a channel is answered in a thread on that message.
    Nobody is notified by what the bot writes, and links in it do not unfurl.

    Either the kit owns the Bolt app, or it joins one that has handlers of its own, ``Slack(app=my_async_app)``: those
    see every event as before. Set them before ``run``, which also acknowledges the events that none of them takes.

    Args:
        bot_token: The bot token, ``xoxb-…``; by default that of ``app`` or ``client``, else ``SLACK_BOT_TOKEN``.
        app_token: The app-level token, ``xapp-…``; by default ``SLACK_APP_TOKEN``.
        app: A Bolt app to join.
        client: A client to call Slack with, set up with a proxy, an address or TLS of your own.
        ping_interval: Seconds between two pings on the socket; one that stays silent for four is replaced.

    Raises:
        ConfigurationError: ``client`` together with ``app``, which has one.
    """

    def __init__(
        self,
        *,
        bot_token: str | None = None,
        app_token: str | None = None,
        app: AsyncApp | None = None,
        client: AsyncWebClient | None = None,
        ping_interval: float = 5.0,
    ) -> None:
        if app is not None and client is not None:
            raise ConfigurationError("an app has a client: give Slack either app= or client=")
        self._bot_token = bot_token
        self._app_token = app_token
        self._app = app
        self._given_client = app.client if app is not None else client
        self._ping_interval = ping_interval
        self._joined = False
        self._reception: Reception | None = None  # while running
        self._told = Told()

    def __repr__(self) -> str:
        return "Slack()" if self._app is None else f"Slack(app={self._app.name!r})"

    @property
    def name(self) -> str:
        """``"slack"``."""
        return PLATFORM

    async def run(self, receive: Receive) -> None:
        """Connect and hand what people write and do to ``receive``, until cancelled.

        An event is acknowledged once ``receive`` has returned; until then Slack keeps it, and sends it again.

        Raises:
            PlatformError: A token is missing or refused, lacks a scope, or Slack cannot be reached at the start.
            ConfigurationError: It is running already.
        """
        if self._reception is not None:
            raise ConfigurationError("this Slack platform is running already; make one per bot")
        app_token = self._app_token or os.environ.get("SLACK_APP_TOKEN")
        check_tokens(self._client.token, app_token)
        async with keeping_connections(self._client):
            bot = (await self._workspaces.sign_in()).bot
            self._reception = Reception(self._workspaces, receive, self._told, shared=self._app is not None)
            try:
                async with connected(
                    self._bolt_app(), str(app_token), self._client, ping_interval=self._ping_interval
                ) as socket:
                    _log.info("Listening in Slack as @%s", bot.name)
                    await socket.refused()
            finally:
                self._reception = None

    def use_commands(self, commands: Sequence[Named]) -> None:
        """Called by the bot, before ``run``: the commands that people give with a slash."""
        self._told = replace(self._told, commands=tuple(commands))

    def use_manners(self, manners: Manners) -> None:
        """Called by the bot, before ``run``: what is one conversation."""
        self._told = replace(self._told, manners=manners)

    async def post(self, post: Post) -> Posted:
        """Post an answer, in as many messages as Slack's limit asks for; none for an answer without text.

        Sources and fields stand beneath the text, files in a message of their own, what the agent thought nowhere. An
        answer for one person alone has messages without ids, except in a DM, which has nobody else in it.

        Raises:
            PlatformError: Slack refused it or could not be reached.
        """
        return await (await self._workspace(post.inbound)).posting.post(post)

    @property
    def edit_seconds(self) -> float:
        """Slack asks for a second between two edits of a message, and allows fifty a minute for all of them."""
        return EDIT_SECONDS

    def parts(self, text: str) -> Sequence[str]:
        """Markdown as the texts of messages, in Slack's mrkdwn."""
        return to_messages(text)

    async def begin(self, inbound: Event, part: str, buttons: Sequence[Button] = ()) -> str:
        """Post a message in answer to ``inbound``; its id.

        Raises:
            PlatformError: Slack refused it or could not be reached.
        """
        return await (await self._workspace(inbound)).posting.begin(inbound, part, buttons)

    async def edit(self, inbound: Event, message_id: str, part: str, buttons: Sequence[Button] = ()) -> None:
        """Let a message say something else; buttons that are not given go.

        Raises:
            PlatformError: Slack refused it or could not be reached.
        """
        await (await self._workspace(inbound)).posting.edit(message_id, part, buttons)

    async def said_before(self, inbound: Event, most: int) -> Sequence[Said]:
        """The newest ``most`` messages of the thread or DM before ``inbound``; none when Slack does not tell."""
        try:
            workspace = await self._workspace(inbound)
        except PlatformError as error:
            _log.warning("What was said before cannot be had: %s", error)
            return ()
        return await workspace.looking_back.said_before(inbound, workspace.bot, most)

    async def open_thread(self, inbound: Event, title: str) -> Opened:
        """Open a thread in the channel: a new message with that title, and a link to it.

        Raises:
            PlatformError: Slack refused it or could not be reached.
        """
        workspace = await self._workspace(inbound)
        return await open_thread(workspace.client, workspace.threads, inbound, title)

    @asynccontextmanager
    async def fetch(self, attachment: Attachment) -> AsyncIterator[AsyncIterator[bytes]]:
        """What is in a file that came with a message, piece by piece, from Slack's own host for files.

        Raises:
            PlatformError: It cannot be had.
        """
        workspace = await self._workspaces.find(Home.parse(attachment.source))
        check_fetching(workspace.bot)
        async with workspace.downloader.fetch(attachment) as pieces:
            yield pieces

    async def _workspace(self, event: Event) -> Workspace:
        return await self._workspaces.find(Home.of(event))

    @cached_property
    def _client(self) -> AsyncWebClient:
        # Made when it is first needed: tokens may come from an .env file that is read after us.
        given = self._given_client
        token = self._bot_token or (given.token if given is not None else None)
        return web_client(given, token or os.environ.get("SLACK_BOT_TOKEN"))

    @cached_property
    def _workspaces(self) -> OneWorkspace:
        return OneWorkspace(self._client)

    def _bolt_app(self) -> AsyncApp:
        """The app that the events go through, with us in it."""
        if self._app is None:
            # Given a client, Bolt warns of a SLACK_BOT_TOKEN that it leaves unused.
            own = {"token": self._client.token} if self._given_client is None else {"client": self._client}
            # Before Bolt authorizes: that costs a call, and when it fails, Bolt acknowledges the event, which is lost.
            return AsyncApp(name="dspy-session-slack", before_authorize=self._take_and_acknowledge, **own)
        if not self._joined:
            self._app.middleware(self._take)
            _acknowledge_the_rest(self._app, self._is_running)
            self._joined = True
        return self._app

    async def _take_and_acknowledge(self, body: Mapping[str, Any]) -> BoltResponse:
        """Bolt's middleware in an app of our own: no other handler is there that could wait for anything."""
        return await self._handle(body) or BoltResponse(status=200)

    async def _take(self, body: Mapping[str, Any], next_: Callable[[], Awaitable[None]]) -> BoltResponse | None:
        """Bolt's middleware in an app that we joined: whatever comes passes here, and goes on to its handlers."""
        response = await self._handle(body)
        if response is None:
            await next_()
        return response

    async def _handle(self, body: Mapping[str, Any]) -> BoltResponse | None:
        """Take what came; the answer to Slack, None when it is for others to give."""
        if self._reception is None:
            return None
        try:
            return BoltResponse(status=200) if await self._reception.take(body, home_of(body)) else None
        except SessionError as error:
            if body.get("type") == EVENT:
                _log.warning("A Slack event was not taken, and Slack will send it again: %s", error)
            else:
                _log.warning("What somebody did was in vain, and Slack says so: %s", error)
            return BoltResponse(status=503)

    async def _is_running(self) -> bool:
        return self._reception is not None


def _acknowledge_the_rest(app: AsyncApp, is_running: Callable[[], Awaitable[bool]]) -> None:
    """Acknowledge the events that have no listener, which Slack would send three times more."""

    async def acknowledge() -> None:
        """Bolt acknowledges an event for having a listener."""

    app.event(re.compile(""), matchers=[is_running])(acknowledge)
