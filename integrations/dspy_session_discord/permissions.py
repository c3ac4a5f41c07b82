"""What the bot may do in a place, as far as Discord has told its client, and in the words of Discord's settings."""

from __future__ import annotations

from collections.abc import Iterable

import discord

from dspy_session_discord.setup.wanted import WANTED

NAMES = {wanted.flag: wanted.label for wanted in WANTED}
"""Permissions by the names that discord.py and people have for them."""

OPENING_THREADS = ("view_channel", "create_public_threads", "send_messages_in_threads")
"""What opening a thread and writing in it takes."""


def lacking_in(client: discord.Client, channel_id: int, needed: Iterable[str]) -> tuple[str, ...]:
    """Which of the permissions ``needed`` the bot lacks in a channel or thread, in people's words; none where that is
    not known.
    """
    channel = client.get_channel(channel_id)
    if not isinstance(channel, discord.abc.GuildChannel | discord.Thread):
        return ()
    if isinstance(channel, discord.Thread) and channel.parent is None:
        return ()
    me = None if client.user is None else channel.guild.get_member(client.user.id)
    if me is None:
        return ()
    granted = channel.permissions_for(me)
    return tuple(NAMES[name] for name in needed if not getattr(granted, name))


def without(client: discord.Client, channel_id: int, permission: str) -> str:
    """``permission`` in people's words where the bot lacks it in a place; empty where it has it."""
    return "".join(lacking_in(client, channel_id, (permission,)))


def writing_in(client: discord.Client, channel_id: int) -> tuple[str, ...]:
    """What writing in a channel or thread takes."""
    in_thread = isinstance(client.get_channel(channel_id), discord.Thread)
    return ("view_channel", "send_messages_in_threads" if in_thread else "send_messages")


def place_name(client: discord.Client, channel_id: int) -> str:
    """A channel or thread with its server, as people know them; its id where nothing else is known."""
    channel = client.get_channel(channel_id)
    if isinstance(channel, discord.Thread):
        return f'the thread "{channel.name}" of {channel.guild.name}'
    if isinstance(channel, discord.abc.GuildChannel):
        return f"#{channel.name} of {channel.guild.name}"
    return f"channel {channel_id}"


def in_words(permissions: Iterable[str]) -> str:
    """Permissions as one says them.

    >>> in_words(["View Channels", "Send Messages"])
    'View Channels and Send Messages'
    """
    *first, last = permissions
    return f"{', '.join(first)} and {last}" if first else last
