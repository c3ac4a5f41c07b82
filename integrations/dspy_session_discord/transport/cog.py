"""The bot as a cog of somebody's ``commands.Bot``."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import discord
from discord.ext import commands

from dspy_session_discord.inbound.hearing import Listeners


class SessionCog(commands.Cog, name="dspy-session"):
    """Tells us what the bot hears, less the messages that invoke its own commands.

    Args:
        bot: The bot that it is added to.
        listeners: Who is told of which event, by the event's name.
    """

    def __init__(self, bot: commands.Bot | commands.AutoShardedBot, listeners: Listeners) -> None:
        self._bot = bot
        self._listening = [(event, self._told(event, take)) for event, take in listeners.items()]

    async def cog_load(self) -> None:
        """The bot has taken the cog in."""
        for event, listener in self._listening:
            self._bot.add_listener(listener, event)

    async def cog_unload(self) -> None:
        """The bot lets the cog go."""
        for event, listener in self._listening:
            self._bot.remove_listener(listener, event)

    def _told(self, event: str, take: Callable[..., None]) -> Callable[..., Coroutine[Any, Any, None]]:
        async def listener(*arguments: Any) -> None:
            if event != "on_message" or not await invokes(self._bot, arguments[0]):
                take(*arguments)

        return listener


async def invokes(bot: commands.Bot | commands.AutoShardedBot, message: discord.Message) -> bool:
    """Whether ``message`` invokes a command of ``bot``."""
    if bot.command_prefix is None:  # a bot with slash commands only, which get_context does not take
        return False
    return (await bot.get_context(message)).valid
