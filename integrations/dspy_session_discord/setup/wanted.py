"""What the bot's role must be allowed in a server, and for what: the one place that says so."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import discord

_TEXT = frozenset({discord.ChannelType.text, discord.ChannelType.news})
_FORUM = frozenset({discord.ChannelType.forum, discord.ChannelType.media})
_VOICE = frozenset({discord.ChannelType.voice, discord.ChannelType.stage_voice})

PLACES = _TEXT | _FORUM | _VOICE
"""The kinds of channels that people write in; categories and the like are none."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A permission that the bot needs.

    Args:
        flag: What discord.py calls it.
        label: What Discord's own pages call it.
        lets: What the bot does with it, such as ``"answer"``.
        kinds: The channels where it needs it.
        is_asked_for: Whether the link that invites the bot asks for it; else everybody has it unless it was taken away.
    """

    flag: str
    label: str
    lets: str
    kinds: frozenset[discord.ChannelType] = PLACES
    is_asked_for: bool = True

    def is_in(self, may: discord.Permissions) -> bool:
        """Whether it is among what somebody may do."""
        return may.is_superset(discord.Permissions(**{self.flag: True}))


VIEW = Wanted("view_channel", "View Channels", "see what is written")
SEND = Wanted("send_messages", "Send Messages", "answer, and open posts in forums")
SEND_IN_THREADS = Wanted("send_messages_in_threads", "Send Messages in Threads", "answer in threads", _TEXT | _FORUM)
OPEN_THREADS = Wanted("create_public_threads", "Create Public Threads", "open a thread for each question", _TEXT)
CONNECT = Wanted("connect", "Connect", "see what is written in voice channels", _VOICE, is_asked_for=False)

WANTED = (
    VIEW,
    SEND,
    SEND_IN_THREADS,
    OPEN_THREADS,
    Wanted("attach_files", "Attach Files", "send files, and answers too long for messages"),
    Wanted("read_message_history", "Read Message History", "reply to a message, and read what it missed"),
    CONNECT,
)


def wanted(*, threads: bool = True) -> list[Wanted]:
    """What the bot needs.

    Args:
        threads: Whether a mention opens a thread; else it is replied to in place, ``Discord(threads="reply")``.
    """
    return [each for each in WANTED if threads or each is not OPEN_THREADS]


def invited(*, threads: bool = True) -> discord.Permissions:
    """What the link that invites the bot asks for."""
    return discord.Permissions(**{each.flag: True for each in wanted(threads=threads) if each.is_asked_for})


def lacking(may: discord.Permissions, kind: discord.ChannelType | None = None, *, threads: bool = True) -> list[Wanted]:
    """What the bot lacks.

    Args:
        may: What it may do.
        kind: The kind of channel; None for a server as a whole.
        threads: Whether a mention opens a thread.
    """
    needed = [each for each in wanted(threads=threads) if (each.is_asked_for if kind is None else kind in each.kinds)]
    return [each for each in needed if not each.is_in(may)]


def listed(permissions: Iterable[Wanted]) -> str:
    """Their names, as Discord's pages have them."""
    return ", ".join(each.label for each in permissions)
