"""Discord as a platform of the bot."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import discord

from dspy_session.errors import ConfigurationError, PlatformError, PlatformUnavailableError
from dspy_session_chat.inbound import Inbound
from dspy_session_chat.platform import Post, Posted, Receive
from dspy_session_discord.connection import checked, log_in, own_client, stay_connected
from dspy_session_discord.destination import Destination
from dspy_session_discord.hearing import Hearing
from dspy_session_discord.joining import joined
from dspy_session_discord.key import PLATFORM
from dspy_session_discord.posting import find, send
from dspy_session_discord.refusal import NO_MESSAGE_CONTENT, UNREACHABLE, explain, refused_to_post

_log = logging.getLogger(__name__)

_FAILURES = (discord.DiscordException, *UNREACHABLE)

TYPING_SECONDS = 8.0
"""How often the typing indicator is renewed; Discord shows it for 10 seconds."""

LOGIN_SECONDS = 30.0
"""How long an answer waits for the client to log in."""


class Discord:
    """Talks to people in Discord: direct messages, mentions, and the threads that a mention opens.

    Every direct message is answered. A mention in a text channel opens a thread from that message and is answered
    there; where the bot may not open threads it replies in the channel. In a thread that it is in, it answers without
    a mention, unless the message mentions somebody else. Bots and webhooks are never answered, nobody is notified by
    what the bot writes, and links in it do not unfold.

    Either the kit owns the client, ``Discord(token=…)``, or it joins one that has handlers of its own,
    ``Discord(bot=my_bot)``; a ``commands.Bot`` gets a cog, and messages that invoke its commands stay its own. A bot
    that is joined is run by its owner (``await my_bot.start(…)`` in the same event loop), or, with
    ``Discord(bot=my_bot, token=…)``, by us. A joined client's handlers must be set before ``run``.

    Args:
        token: The bot's token.
        bot: A ``discord.Client`` or ``commands.Bot`` to join.
        client_options: Options of ``discord.Client`` for the client that the kit owns: ``proxy``, ``connector``,
            ``intents``, …

    Raises:
        ConfigurationError: ``client_options`` together with ``bot``.
    """

    def __init__(
        self,
        *,
        token: str | None = None,
        bot: discord.Client | None = None,
        client_options: Mapping[str, Any] | None = None,
    ) -> None:
        if bot is not None and client_options is not None:
            raise ConfigurationError("client_options are for a client that the kit makes; set them on your bot instead")
        self._token = token
        self._bot = bot
        self._client_options = dict(client_options or {})
        self._client: discord.Client | None = None
        self._logged_in: asyncio.Event | None = None  # while running

    def __repr__(self) -> str:
        return "Discord(token=…)" if self._bot is None else f"Discord(bot={type(self._bot).__name__})"

    @property
    def name(self) -> str:
        """``"discord"``."""
        return PLATFORM

    async def run(self, receive: Receive) -> None:
        """Connect and hand every message for the bot to ``receive``, until cancelled.

        Raises:
            PlatformError: There is no token, Discord refuses it or the intents, or cannot be reached at the start.
            ConfigurationError: It is running already, or the client to use was closed.
        """
        if self._logged_in is not None:
            raise ConfigurationError("this Discord platform is running already; make one per bot")
        logged_in = self._logged_in = asyncio.Event()
        hearing = Hearing(receive)

        def heard(message: discord.Message) -> None:
            if client.user is not None:
                hearing.hear(message, client.user.id)

        try:
            async with AsyncExitStack() as opened:
                client = self._client = await opened.enter_async_context(self._ready_client())
                opened.push_async_callback(hearing.aclose)
                await opened.enter_async_context(joined(client, connected=logged_in.set, heard=heard))
                if client.user is not None:
                    logged_in.set()
                await self._stay(client)
        finally:
            self._client = self._logged_in = None
            logged_in.set()  # answers that still wait learn that they wait in vain

    async def post(self, post: Post) -> Posted:
        """Post an answer; the thread that it belongs in is opened when it is not there yet.

        Raises:
            PlatformError: Discord refused it or could not be reached.
        """
        client = await self._usable_client()
        try:
            place = await find(client, Destination.from_dict(post.inbound.reply_to))
            if place.compromise:
                _log.warning("answering in channel %s, not in a thread: %s", place.channel.id, place.compromise)
            return Posted(await send(place, post))
        except _FAILURES as error:
            raise refused_to_post(error) from error

    @asynccontextmanager
    async def typing(self, inbound: Inbound) -> AsyncIterator[None]:
        """Show the typing indicator where the answer will appear."""
        task = asyncio.create_task(self._keep_typing(inbound))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    @asynccontextmanager
    async def _ready_client(self) -> AsyncIterator[discord.Client]:
        """The client to use; logged in, unless its owner does that."""
        if self._bot is None:
            connector = self._client_options.get("connector")
            if connector is not None and connector.closed:
                raise ConfigurationError("the connector in client_options was closed with the last run; make a new one")
            async with own_client(checked(self._token), self._client_options) as client:
                yield client
            return
        if self._bot.is_closed():
            raise ConfigurationError("the bot was closed, and discord.py cannot open a client again; make a new one")
        if not self._bot.intents.message_content:
            _log.warning(NO_MESSAGE_CONTENT)
        if self._token is None:
            yield self._bot
            return
        async with self._bot:
            await log_in(self._bot, checked(self._token))
            yield self._bot

    async def _stay(self, client: discord.Client) -> None:
        if client is self._bot and self._token is None:
            await asyncio.Event().wait()  # its owner connects it
        await stay_connected(client)

    async def _usable_client(self) -> discord.Client:
        """The client, logged in; an answer left over from the last run may come before it is."""
        if self._logged_in is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOGIN_SECONDS):
                    await self._logged_in.wait()
        client = self._client
        if client is None or client.user is None or client.is_closed():
            raise PlatformUnavailableError("Discord is not connected, so the answer was not posted")
        return client

    async def _keep_typing(self, inbound: Inbound) -> None:
        try:
            client = await self._usable_client()
            place = await find(client, Destination.from_dict(inbound.reply_to))
            while True:
                await place.channel.typing()
                await asyncio.sleep(TYPING_SECONDS)
        except (PlatformError, *_FAILURES) as error:
            _log.debug("no typing indicator: %s", explain(error))
