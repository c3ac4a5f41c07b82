"""Getting into Discord and staying there: our own client, its intents, logging in."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import discord

from dspy_session.errors import PlatformError
from dspy_session_discord.refusal import (
    MALFORMED_TOKEN,
    NO_MESSAGE_CONTENT,
    NO_TOKEN,
    UNREACHABLE,
    connection_refused,
    login_refused,
)

_log = logging.getLogger(__name__)


def checked(token: str | None) -> str:
    """``token`` without the white space around it.

    Raises:
        PlatformError: There is none, or it cannot be one.
    """
    token = (token or "").strip()
    if not token:
        raise PlatformError(NO_TOKEN)
    if not token.isascii() or not token.isprintable() or " " in token:
        raise PlatformError(MALFORMED_TOKEN)
    return token


@asynccontextmanager
async def own_client(token: str, options: Mapping[str, Any]) -> AsyncIterator[discord.Client]:
    """A client of our own, logged in; closed at the end.

    It asks for no more than it needs. Message content is a privilege that the bot's owner switches on; where it is
    off, Discord would refuse a client that asks for it, so ours does not ask and the operator is told.

    Args:
        token: The bot's token.
        options: Options of ``discord.Client`` that go before our own.

    Raises:
        PlatformError: Discord refuses the token, or cannot be reached.
    """
    async with _client(options, message_content=True) as client:
        await log_in(client, token)
        if "intents" in options or _may_read_content(client):
            yield client
            return
        _log.warning(NO_MESSAGE_CONTENT)
        # Intents are fixed when a client is made, and only a client that is logged in knows its privileges. The first
        # one stays open: closing it would close a connector that the options share between the two.
        async with _client(options, message_content=False) as modest:
            await log_in(modest, token)
            yield modest


async def log_in(client: discord.Client, token: str) -> None:
    """Log in, so that the API can be used.

    Raises:
        PlatformError: Discord refuses the token, or cannot be reached.
    """
    try:
        await client.login(token)
    except (discord.LoginFailure, discord.HTTPException, *UNREACHABLE) as error:
        raise login_refused(error) from None


async def stay_connected(client: discord.Client) -> None:
    """Receive events until cancelled; discord.py reconnects and resumes.

    Raises:
        PlatformError: Discord ends the connection for good, or somebody closed the client.
    """
    try:
        await client.connect()
    except (discord.PrivilegedIntentsRequired, discord.ConnectionClosed) as error:
        raise connection_refused(error) from None
    raise PlatformError("The Discord client was closed while the bot was running.")


def _client(options: Mapping[str, Any], *, message_content: bool) -> discord.Client:
    intents = discord.Intents(
        guilds=True,
        guild_messages=True,
        dm_messages=True,
        guild_reactions=True,
        dm_reactions=True,
        message_content=message_content,
    )
    ours: dict[str, Any] = {
        "intents": intents,
        "allowed_mentions": discord.AllowedMentions.none(),
        "max_messages": None,  # the store remembers; a cache of messages would only grow
        "member_cache_flags": discord.MemberCacheFlags.none(),
    }
    return discord.Client(**{**ours, **options})


def _may_read_content(client: discord.Client) -> bool:
    if client.application is None:
        return False
    flags = client.application.flags
    return flags.gateway_message_content or flags.gateway_message_content_limited
