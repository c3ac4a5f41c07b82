"""Slack as a platform of the bot."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from typing import Any

from aiohttp import ClientError
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.response import BoltResponse
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from dspy_session.errors import ConfigurationError, SessionError
from dspy_session_chat.platform import Post, Posted, Receive
from dspy_session_slack.directory import Directory
from dspy_session_slack.intake import Intake
from dspy_session_slack.key import PLATFORM, message_id
from dspy_session_slack.refusals import refusal_to_post
from dspy_session_slack.sign_in import check_tokens, sign_in
from dspy_session_slack.socket_mode import connected
from dspy_session_slack.split import to_messages
from dspy_session_slack.threads import Threads
from dspy_session_slack.web_client import keeping_connections, web_client

_log = logging.getLogger(__name__)


class Slack:
    """Talks to people in Slack, over Socket Mode: DMs, mentions, and the threads that a mention opens.

    Every DM is answered. A mention in a channel is answered in a thread on that message; in a thread that it is in, the
    bot answers without a mention, unless the message mentions somebody else. Bots are never answered, nobody is
    notified by what the bot writes, and links in it do not unfurl.

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
        self._intake: Intake | None = None  # while running

    def __repr__(self) -> str:
        return "Slack()" if self._app is None else f"Slack(app={self._app.name!r})"

    @property
    def name(self) -> str:
        """``"slack"``."""
        return PLATFORM

    async def run(self, receive: Receive) -> None:
        """Connect and hand every message for the bot to ``receive``, until cancelled.

        An event is acknowledged once ``receive`` has returned; until then Slack keeps it, and sends it again.

        Raises:
            PlatformError: A token is missing or refused, lacks a scope, or Slack cannot be reached at the start.
            ConfigurationError: It is running already.
        """
        if self._intake is not None:
            raise ConfigurationError("this Slack platform is running already; make one per bot")
        app_token = self._app_token or os.environ.get("SLACK_APP_TOKEN")
        check_tokens(self._client.token, app_token)
        async with keeping_connections(self._client):
            bot = await sign_in(self._client)
            self._intake = Intake(bot, self._threads, Directory(self._client), receive)
            try:
                async with connected(
                    self._bolt_app(), str(app_token), self._client, ping_interval=self._ping_interval
                ) as socket:
                    _log.info("Listening in Slack as @%s", bot.name)
                    await socket.refused()
            finally:
                self._intake = None

    async def post(self, post: Post) -> Posted:
        """Post an answer, in as many messages as Slack's limit asks for; none for an answer without text.

        Raises:
            PlatformError: Slack refused it or could not be reached.
        """
        channel, thread = post.inbound.reply_to["channel"], post.inbound.reply_to.get("thread_ts")
        posted: list[str] = []
        for text in to_messages(post.text):
            try:
                answer = await self._client.chat_postMessage(
                    channel=channel,
                    thread_ts=thread,
                    text=text,
                    # What the text says must not notify anybody, and no address in it be fetched.
                    parse="none",
                    link_names=False,
                    unfurl_links=False,
                    unfurl_media=False,
                )
            except (SlackApiError, ClientError, OSError) as error:
                raise refusal_to_post(error, channel) from None
            posted.append(message_id(channel, answer["ts"]))
        if thread is not None:
            self._threads.join(channel, thread)
        return Posted(tuple(posted))

    @cached_property
    def _client(self) -> AsyncWebClient:
        # Made when it is first needed: tokens may come from an .env file that is read after us.
        given = self._given_client
        token = self._bot_token or (given.token if given is not None else None)
        return web_client(given, token or os.environ.get("SLACK_BOT_TOKEN"))

    @cached_property
    def _threads(self) -> Threads:
        return Threads(self._client)

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
        if self._intake is not None and body.get("type") == "event_callback":
            try:
                await self._intake.take(body)
            except SessionError as error:
                _log.warning("A Slack event was not taken, and Slack will send it again: %s", error)
                return BoltResponse(status=503)
        return None

    async def _is_running(self) -> bool:
        return self._intake is not None


def _acknowledge_the_rest(app: AsyncApp, is_running: Callable[[], Awaitable[bool]]) -> None:
    """Acknowledge the events that have no listener, which Slack would send three times more."""

    async def acknowledge() -> None:
        """Bolt acknowledges an event for having a listener."""

    app.event(re.compile(""), matchers=[is_running])(acknowledge)
