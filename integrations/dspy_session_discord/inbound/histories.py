"""Handing over what stands in the history of a place as if it had just come."""

from __future__ import annotations

from collections.abc import Callable

import discord
from discord.ext import commands

from dspy_session_discord.inbound.missed import Readable, to_answer
from dspy_session_discord.transport.cog import invokes

Take = Callable[[discord.Message], None]
"""Takes a message over as if it had just come."""


class Histories:
    """Reads histories, once after each gap.

    Args:
        client: Asks Discord.
        take: Takes the messages over, oldest first.
        most: Messages that are read in one place.
    """

    def __init__(self, client: discord.Client, take: Take, most: int) -> None:
        self._client = client
        self._take = take
        self._most = most
        self._members: dict[tuple[int, int], discord.Member | None] = {}

    async def direct(self, channel: int, after: int) -> discord.DMChannel | None:
        """The direct conversation that is called so, if there is something in it after the id ``after``.

        Raises:
            discord.HTTPException: Discord does not say.
        """
        place = self._client.get_channel(channel)
        if not isinstance(place, discord.DMChannel):
            partial = self._client.get_partial_messageable(channel)
            if not [message async for message in partial.history(limit=1, after=discord.Object(after))]:
                return None
            fetched = await self._client.fetch_channel(channel)
            return fetched if isinstance(fetched, discord.DMChannel) else None
        return place

    async def read(self, place: Readable | discord.DMChannel, after: int, me: int) -> int:
        """Hand over what was written in ``place`` after the id ``after`` and not answered; how much was read.

        Raises:
            discord.HTTPException: Discord does not show it.
        """
        history = place.history(limit=self._most, after=discord.Object(after), oldest_first=True)
        messages = [message async for message in history]
        for message in to_answer(messages, me):
            client = self._client
            if isinstance(client, commands.Bot | commands.AutoShardedBot) and await invokes(client, message):
                continue
            if message.guild is not None and message.webhook_id is None:
                member = await self._member(message.guild, message.author.id)
                message.author = message.author if member is None else member
            self._take(message)
        return len(messages)

    async def _member(self, guild: discord.Guild, user: int) -> discord.Member | None:
        """Who wrote a message, with their roles, which histories do not tell; None where they have left."""
        if (guild.id, user) not in self._members:
            try:
                self._members[guild.id, user] = guild.get_member(user) or await guild.fetch_member(user)
            except discord.NotFound:
                self._members[guild.id, user] = None
        return self._members[guild.id, user]
