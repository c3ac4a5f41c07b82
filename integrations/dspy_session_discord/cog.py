"""The bot as a cog of somebody's ``commands.Bot``."""

from __future__ import annotations

from collections.abc import Callable

import discord
from discord.ext import commands


class SessionCog(commands.Cog, name="dspy-session"):
    """Tells us what the bot hears, less the messages that invoke its own commands.

    Args:
        bot: The bot that it is added to.
        connected: Called when the gateway is connected.
        heard: Called with every message.
    """

    def __init__(
        self,
        bot: commands.Bot | commands.AutoShardedBot,
        *,
        connected: Callable[[], None],
        heard: Callable[[discord.Message], None],
    ) -> None:
        self._bot = bot
        self._connected = connected
        self._heard = heard

    @commands.Cog.listener()
    async def on_connect(self) -> None:
        """The gateway is connected."""
        self._connected()

    @commands.Cog.listener()
    async def on_message(self, message: discord.Message) -> None:
        """Somebody wrote something."""
        if not await self._is_command(message):
            self._heard(message)

    async def _is_command(self, message: discord.Message) -> bool:
        if self._bot.command_prefix is None:  # a bot with slash commands only, which get_context does not take
            return False
        return (await self._bot.get_context(message)).valid
