"""The client that a run uses: our own, or one that it joins."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import discord

from dspy_session.errors import ConfigurationError
from dspy_session_discord.budget import Budget
from dspy_session_discord.connection import checked, log_in, own_client
from dspy_session_discord.refusal import NO_MESSAGE_CONTENT
from dspy_session_discord.shards import Spread

_log = logging.getLogger(__name__)


@asynccontextmanager
async def made(
    token: str | None, options: Mapping[str, Any], budget: Budget, spread: Spread
) -> AsyncIterator[discord.Client]:
    """A client of our own, logged in; closed at the end.

    Raises:
        ConfigurationError: The connector in ``options`` is closed.
        PlatformError: There is no token, Discord refuses it, or cannot be reached.
    """
    connector = options.get("connector")
    if connector is not None and connector.closed:
        raise ConfigurationError("the connector in client_options was closed with the last run; make a new one")
    async with own_client(checked(token), options, budget, spread) as client:
        yield client


@asynccontextmanager
async def borrowed(bot: discord.Client, token: str | None) -> AsyncIterator[discord.Client]:
    """Somebody else's client; logged in and closed at the end with a token, and left to its owner without.

    Raises:
        ConfigurationError: It is closed.
        PlatformError: Discord refuses the token, or cannot be reached.
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
