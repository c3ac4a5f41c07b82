"""Starting sessions with the gateway: not too fast, and never more than Discord allows in a day.

Whoever starts more has the token reset by Discord.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import discord
from discord.gateway import KeepAliveHandler

from dspy_session.errors import PlatformUnavailableError
from dspy_session_discord.refusal import FAILURES, explain

_log = logging.getLogger(__name__)

BETWEEN_SECONDS = 5.0
"""Seconds between two identifications: Discord takes one in that time."""

LEAST_WAIT = 60.0
"""Seconds to wait where no session is left, however soon Discord says that there are more."""


class NoSessionLeftError(PlatformUnavailableError):
    """Discord lets the bot start no more sessions today."""


class StartingClient(discord.Client):
    """A client that identifies itself only while that is allowed."""

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Called by discord.py before each session; of the first one it is known that it is allowed."""
        await _may_start(self, shard_id, initial=initial)

    def dispatch(self, event: str, /, *args: Any, **kwargs: Any) -> None:
        """Called by discord.py with what it hears: once it is closed it has no loop any more to tell anybody in."""
        if not self.is_closed():
            super().dispatch(event, *args, **kwargs)


class StartingShards(discord.AutoShardedClient):
    """The same with several shards."""

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Called by discord.py before each session; of the first one it is known that it is allowed."""
        await _may_start(self, shard_id, initial=initial)

    def dispatch(self, event: str, /, *args: Any, **kwargs: Any) -> None:
        """Called by discord.py with what it hears: once it is closed it has no loop any more to tell anybody in."""
        if not self.is_closed():
            super().dispatch(event, *args, **kwargs)


async def wait_until_startable(client: discord.Client) -> None:
    """Return when there is a session left for each shard of ``client``."""
    while seconds := await _seconds_until_startable(client, all_shards=True):
        _log.error(
            "Discord lets the bot start no more sessions today; connecting again in %d minutes. Something makes it "
            "connect over and over: look for a bot that is restarted all the time, or that runs twice.",
            round(seconds / 60),
        )
        await asyncio.sleep(seconds)


async def _may_start(client: discord.Client, shard_id: int | None, *, initial: bool) -> None:
    if initial:
        return
    # discord.py gives us less than a minute, so the long wait is for whoever connects.
    if await _seconds_until_startable(client):
        await _hang_up(client, shard_id)
        raise NoSessionLeftError
    await asyncio.sleep(BETWEEN_SECONDS)


async def _hang_up(client: discord.Client, shard_id: int | None) -> None:
    """Close the connection that is to be identified: discord.py would leave it open, and its thread of heartbeats."""
    beating = [thread for thread in threading.enumerate() if isinstance(thread, KeepAliveHandler)]
    for thread in beating:
        if thread.shard_id == shard_id and thread.ws.token == client.http.token:
            await thread.ws.close()


async def _seconds_until_startable(client: discord.Client, *, all_shards: bool = False) -> float:
    """Seconds until a session can be started; none if there is one, or Discord does not tell."""
    try:
        recommended, _, limit = await client.http.get_bot_gateway()
    except FAILURES as error:
        _log.debug("Discord does not tell how many sessions may be started: %s", explain(error))
        return 0.0
    needed = 1
    if all_shards and isinstance(client, discord.AutoShardedClient):
        needed = len(client.shard_ids or range(client.shard_count or recommended))
    return 0.0 if limit["remaining"] >= needed else max(LEAST_WAIT, limit["reset_after"] / 1000)
