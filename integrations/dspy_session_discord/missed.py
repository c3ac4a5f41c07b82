"""Where something may have been written that the bot did not hear, and what it was."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import discord

from dspy_session_discord.translate import SPOKEN

MOST_PLACES = 50
"""Channels and threads of each shard that are read after a gap, and as many direct conversations: a request each."""

MOST_MESSAGES = 200
"""Messages that are read in one place: two requests."""

Readable = discord.TextChannel | discord.VoiceChannel | discord.StageChannel | discord.Thread
"""A place in a server where people write."""


def written_in_since(guilds: Iterable[discord.Guild], after: int) -> list[Readable]:
    """The places in ``guilds`` that have a newer message than ``after`` which the bot may read, the newest first.

    Discord tells the newest message of each channel with the session, so nothing is asked for.
    """
    found = [place for guild in guilds for place in _places(guild) if (place.last_message_id or 0) > after]
    return sorted(
        (place for place in found if _may_read(place)), key=lambda place: place.last_message_id or 0, reverse=True
    )


def to_answer(messages: Sequence[discord.Message], me: int) -> list[discord.Message]:
    """Those of ``messages``, oldest first, that the bot whose user id is ``me`` did not answer.

    What it answered the inbox knows as well, unless somebody had it forgotten since: so it must show here too.
    """
    answered = _answered(messages, me)
    return sorted(
        (
            message
            for message in messages
            if message.author.id != me
            and message.type in SPOKEN
            and message.id not in answered
            and not (message.thread is not None and message.thread.owner_id == me)
        ),
        key=lambda message: message.id,
    )


def _answered(messages: Iterable[discord.Message], me: int) -> Collection[int | None]:
    return {
        message.reference.message_id
        for message in messages
        if message.author.id == me and message.reference is not None
    }


def _places(guild: discord.Guild) -> list[Readable]:
    return [*guild.text_channels, *guild.voice_channels, *guild.stage_channels, *guild.threads]


def _may_read(place: Readable) -> bool:
    if isinstance(place, discord.Thread) and place.parent is None:  # then nobody knows
        return True
    may = place.permissions_for(place.guild.me)
    return may.view_channel and may.read_message_history
