"""Getting into Discord and staying there: our own client, its intents, its connection."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import discord

from dspy_session.errors import PlatformError
from dspy_session_discord.refusal import NO_MESSAGE_CONTENT, connection_refused, explain
from dspy_session_discord.transport.budget import Budget
from dspy_session_discord.transport.http_trace import http_trace
from dspy_session_discord.transport.login import log_in
from dspy_session_discord.transport.pace import Pace, pause_after
from dspy_session_discord.transport.shards import Shards, Spread, options_of
from dspy_session_discord.transport.starting import (
    NoSessionLeftError,
    StartingClient,
    StartingShards,
    wait_until_startable,
)

_log = logging.getLogger(__name__)


class ClientLostError(PlatformError):
    """discord.py has closed its client over something that Discord sent, and cannot open it again."""


@asynccontextmanager
async def own_client(
    token: str, options: Mapping[str, Any], budget: Budget, spread: Spread = None
) -> AsyncIterator[discord.Client]:
    """A client of our own, logged in; closed at the end.

    It asks for no more than it needs. Message content is a privilege that the bot's owner switches on; where it is
    off, Discord would refuse a client that asks for it, so ours does not ask and the operator is told.

    Args:
        token: The bot's token.
        options: Options of ``discord.Client`` that go before our own.
        budget: Told how many edits Discord still takes, unless the options have an ``http_trace``.
        spread: How servers are spread over connections.

    Raises:
        PlatformError: Discord refuses the token, or cannot be reached by the connector in the options.
    """
    # How many shards Discord recommends is not known yet.
    side_by_side = len(spread.ids) if isinstance(spread, Shards) else 1 if spread is None else 16
    options = {"http_trace": http_trace(Pace(side_by_side), budget), **options}
    async with _client(options, spread, message_content=True) as client:
        await log_in(client, token)
        if "intents" in options or _may_read_content(client):
            yield client
            return
        _log.warning(NO_MESSAGE_CONTENT)
        # Intents are fixed when a client is made, and only a client that is logged in knows its privileges. The first
        # one stays open: closing it would close a connector that the options share between the two.
        async with _client(options, spread, message_content=False) as modest:
            await log_in(modest, token)
            yield modest


async def stay_connected(client: discord.Client) -> None:
    """Receive events until cancelled; discord.py reconnects and resumes.

    What Discord sends and discord.py cannot read ends discord.py's connection, and not the bot: it connects anew.

    Raises:
        ClientLostError: A client with shards is to be made anew.
        PlatformError: Discord ends the connection for good, or somebody closed the client.
    """
    loop, pause = asyncio.get_running_loop(), 0.0
    while True:
        await wait_until_startable(client)
        since = loop.time()
        try:
            await client.connect()
        except (discord.PrivilegedIntentsRequired, discord.ConnectionClosed) as error:
            raise connection_refused(error) from None
        except NoSessionLeftError as error:
            _log.debug("%s", error)
        except Exception as error:  # noqa: BLE001 - whatever discord.py makes of what it cannot read
            pause = pause_after(pause, loop.time() - since)
            _log.warning("What Discord sent was not understood, connecting anew in %.0f s: %s", pause, _what(error))
            _log.debug("it was not understood here", exc_info=error)
        else:
            raise PlatformError("The Discord client was closed while the bot was running.")
        if client.is_closed():
            await asyncio.sleep(pause)
            raise ClientLostError
        if client.ws is not None:  # None where it was never connected
            await client.ws.close()
        await asyncio.sleep(pause)


def _what(error: Exception) -> str:
    """``error`` in one line; a missing field is told by its name alone otherwise."""
    return f"the field {error} is missing" if isinstance(error, KeyError) else explain(error)


def _client(options: Mapping[str, Any], spread: Spread, *, message_content: bool) -> discord.Client:
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
    if spread is None:
        return StartingClient(**{**ours, **options})
    return StartingShards(**{**ours, **options_of(spread), **options})


def _may_read_content(client: discord.Client) -> bool:
    if client.application is None:
        return False
    flags = client.application.flags
    return flags.gateway_message_content or flags.gateway_message_content_limited
