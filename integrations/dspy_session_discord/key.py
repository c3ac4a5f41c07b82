"""Which conversation a Discord message belongs to."""

from __future__ import annotations

from typing import TypeAlias

import discord

from dspy_session.conversation.key import ConversationKey

PLATFORM = "discord"

Channel: TypeAlias = discord.abc.GuildChannel | discord.abc.PrivateChannel | discord.Thread | discord.PartialMessageable
"""Any place where messages are, as discord.py hands it over."""


def conversation_key(message: discord.Message) -> ConversationKey:
    """The key of the conversation that ``message`` belongs to.

    - A DM is one conversation, without a workspace.
    - A thread is one conversation, under the channel that it hangs on.
    - A message in a text channel is keyed by the thread that is opened from it when it mentions the bot. Discord
      gives such a thread the id of its first message, so the key is known before the thread is, and stays the same
      where the bot may not open one.
    - Any other place that has no threads (the chat of a voice channel) is one conversation.

    Args:
        message: A message as discord.py hands it to ``on_message``.

    >>> str(conversation_key(message))                                    # doctest: +SKIP
    'discord:1145…:1145…:1461…'
    """
    return key_in(message.channel, _workspace(message), message.id)


def key_in(channel: Channel, workspace: str, started_by: int | None = None) -> ConversationKey:
    """The key of a conversation in ``channel``.

    Args:
        channel: The channel, thread or DM.
        workspace: Id of the server; empty in a DM.
        started_by: Id of the message that a conversation in a text channel begins with; None where it is not known:
            then the key names the channel alone.
    """
    if isinstance(channel, discord.Thread):
        return ConversationKey(PLATFORM, str(channel.guild.id), str(channel.parent_id), str(channel.id))
    thread = str(started_by) if started_by is not None and isinstance(channel, discord.TextChannel) else None
    return ConversationKey(PLATFORM, workspace, str(channel.id), thread)


def _workspace(message: discord.Message) -> str:
    if message.guild is not None:
        return str(message.guild.id)
    if isinstance(message.channel, discord.PartialMessageable) and message.channel.guild_id is not None:
        return str(message.channel.guild_id)
    return ""
