"""Which threads the bot is in: it joins those that it is called into, and people take it out again."""

from __future__ import annotations

import logging

import discord
from cachetools import LRUCache

from dspy_session_discord.inbound.translate import is_in
from dspy_session_discord.key import Channel
from dspy_session_discord.refusal import FAILURES, explain

_log = logging.getLogger(__name__)

REMEMBERED = 1000
"""Threads of which it is known whether the bot is in them, at most; of the others it is asked again."""


class Membership:
    """Knows whether the bot is in a thread better than discord.py, which goes on to take it for a member, and for one
    of each thread that the bot has opened.
    """

    def __init__(self) -> None:
        self._is_in: LRUCache[int, bool] = LRUCache(REMEMBERED)

    def is_out(self, channel: Channel) -> bool:
        """Whether it is known that the bot was taken out of there."""
        return self._is_in.get(channel.id) is False

    def is_unsure(self, channel: Channel) -> bool:
        """Whether it may have been taken out before it was started: then nobody has told of that."""
        return isinstance(channel, discord.Thread) and channel.me is None and channel.id not in self._is_in

    def taken_out(self, thread: discord.Thread) -> None:
        """Somebody took it out: there it waits for a mention."""
        self._is_in[thread.id] = False

    def is_back(self, thread: discord.Thread) -> None:
        """It is in there, whatever was before."""
        self._is_in[thread.id] = True

    async def ask(self, channel: Channel, me: int) -> None:
        """Ask Discord whether it is in there; where that is not told it is taken to be.

        Args:
            channel: The thread.
            me: The bot's user id.
        """
        if not isinstance(channel, discord.Thread):
            return
        try:
            await channel.fetch_member(me)
        except discord.NotFound:
            self.taken_out(channel)
        except FAILURES as error:
            _log.debug("it is not known whether the bot is in thread %s: %s", channel.id, explain(error))
        else:
            self.is_back(channel)

    async def stay_in(self, channel: Channel, me: int) -> None:
        """Join the thread that a person called the bot in, so that it need not be called again there. That it cannot
        join is no failure.

        Args:
            channel: Where it was called; nothing is done outside of threads.
            me: The bot's user id.
        """
        if not isinstance(channel, discord.Thread):
            return
        if is_in(channel, me) and not self.is_out(channel) and not self.is_unsure(channel):
            return
        self.is_back(channel)
        try:
            await channel.join()
        except FAILURES as error:
            _log.debug("cannot join thread %s: %s", channel.id, explain(error))
