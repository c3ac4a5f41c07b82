"""Where something may have been written that the bot did not hear, and what it was."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime

import discord

from dspy_session.conversation import ConversationKey
from dspy_session.stores import ConversationInfo
from dspy_session_discord.inbound.gaps import id_at
from dspy_session_discord.inbound.translate import SPOKEN, is_in

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


def read_in(place: Readable | discord.DMChannel, after: int, known: Iterable[ConversationInfo], me: int) -> int | None:
    """The id after which messages in ``place`` are read at a start; None where they are not.

    Where people need not mention the bot, nothing shows what it answered before somebody had that forgotten. So such a
    place is read no further back than the conversation goes that is kept, and not at all where none is.

    Args:
        place: The place.
        after: The id after which messages are read elsewhere.
        known: The conversations that are kept.
        me: The bot's user id.
    """
    if not isinstance(place, discord.DMChannel) and not (isinstance(place, discord.Thread) and is_in(place, me)):
        return after
    begun = [one.created_at for one in known if _holds(ConversationKey.parse(one.key), place)]
    return max(after, id_at(datetime.fromtimestamp(min(begun), UTC))) if begun else None


def _holds(key: ConversationKey, place: discord.Thread | discord.DMChannel) -> bool:
    """Whether what is said in ``place`` can belong to the conversation ``key``, whatever is one conversation."""
    if not key.channel:  # all that a user says
        return True
    if isinstance(place, discord.Thread):
        return key.thread == str(place.id) or (key.thread is None and key.channel == str(place.parent_id))
    return key.channel == str(place.id)


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
