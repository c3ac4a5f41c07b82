"""The client that the bot is there with: our own, or one that it joins."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import discord

from dspy_session.errors import ConfigurationError, PlatformUnavailableError
from dspy_session_discord.refusal import NO_MESSAGE_CONTENT
from dspy_session_discord.transport.budget import Budget
from dspy_session_discord.transport.connection import ClientLostError, own_client, stay_connected
from dspy_session_discord.transport.login import checked, log_in
from dspy_session_discord.transport.shards import Spread

_log = logging.getLogger(__name__)

LOGIN_SECONDS = 30.0
"""How long an answer waits for the client to log in."""

Listening = Callable[[discord.Client, asyncio.Event], AbstractAsyncContextManager[None]]
"""Hears through a client for as long as its block runs; the event is set once the client is logged in."""


class Clients:
    """One client after the other: discord.py closes one with shards over what it cannot read.

    Args:
        token: The bot's token; None where somebody else's client is run by its owner.
        bot: Somebody else's client to join; None for one of our own.
        options: Options of ``discord.Client`` for our own.
        spread: How our own spreads servers over connections.
        budget: Told how many edits Discord still takes.
    """

    def __init__(
        self,
        token: str | None,
        bot: discord.Client | None,
        options: Mapping[str, Any],
        spread: Spread,
        budget: Budget,
    ) -> None:
        self._token = token
        self._bot = bot
        self._options = options
        self._spread = spread
        self._budget = budget
        self._client: discord.Client | None = None
        self._logged_in: asyncio.Event | None = None  # while running

    @property
    def current(self) -> discord.Client | None:
        """The client that is there now."""
        return self._client

    async def usable(self) -> discord.Client:
        """The client, logged in; an answer left over from the last run may come before it is.

        Raises:
            PlatformUnavailableError: There is none.
        """
        if self._logged_in is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOGIN_SECONDS):
                    await self._logged_in.wait()
        client = self._client
        if client is None or client.user is None or client.is_closed():
            raise PlatformUnavailableError("Discord is not connected, so the answer was not posted")
        return client

    async def run(self, listening: Listening) -> None:
        """Be there until cancelled.

        Raises:
            PlatformError: There is no token, Discord refuses it or the intents, or cannot be reached at the start by a
                connector that was given.
            ConfigurationError: It is running already, or the client to use was closed.
        """
        if self._logged_in is not None:
            raise ConfigurationError("this Discord platform is running already; make one per bot")
        logged_in = asyncio.Event()
        self._logged_in = logged_in
        try:
            while True:
                try:
                    await self._run(listening, logged_in)
                except ClientLostError:
                    if self._bot is not None:
                        raise
        finally:
            self._client = self._logged_in = None
            logged_in.set()  # answers that still wait learn that they wait in vain

    async def _run(self, listening: Listening, logged_in: asyncio.Event) -> None:
        ours = self._bot is None
        opened = self._own() if self._bot is None else borrowed(self._bot, self._token)
        async with opened as client:
            self._client = client
            async with listening(client, logged_in):
                if not ours and self._token is None:
                    await asyncio.Event().wait()  # its owner connects it
                await stay_connected(client)

    @asynccontextmanager
    async def _own(self) -> AsyncIterator[discord.Client]:
        connector = self._options.get("connector")
        if connector is not None and connector.closed:
            raise ConfigurationError("the connector in client_options was closed with the last run; make a new one")
        async with own_client(checked(self._token), self._options, self._budget, self._spread) as client:
            yield client


@asynccontextmanager
async def borrowed(bot: discord.Client, token: str | None) -> AsyncIterator[discord.Client]:
    """Somebody else's client; logged in and closed at the end with a token, and left to its owner without.

    Raises:
        ConfigurationError: It is closed.
        PlatformError: Discord refuses the token, or cannot be reached by a connector that the bot was given.
    """
    if bot.is_closed():
        raise ConfigurationError("the bot was closed, and discord.py cannot open a client again; make a new one")
    if not bot.intents.message_content:
        _log.warning(NO_MESSAGE_CONTENT)
    if token is None:
        yield bot
        return
    async with bot:
        await log_in(bot, checked(token))
        yield bot
