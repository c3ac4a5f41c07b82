"""Joining the threads that the bot is called into."""

from __future__ import annotations

import logging

import discord

from dspy_session_discord.key import Channel
from dspy_session_discord.refusal import UNREACHABLE, explain
from dspy_session_discord.translate import is_in

_log = logging.getLogger(__name__)


async def stay_in(channel: Channel, me: int) -> None:
    """Join the thread that a person called the bot in, so that it need not be called again there. That it cannot join
    is no failure.

    Args:
        channel: Where it was called; nothing is done outside of threads.
        me: The bot's user id.
    """
    if not isinstance(channel, discord.Thread) or is_in(channel, me):
        return
    try:
        await channel.join()
    except (discord.DiscordException, *UNREACHABLE) as error:
        _log.debug("cannot join thread %s: %s", channel.id, explain(error))
