"""Listening to a client that has handlers of its own, and leaving them alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any

import discord
from discord.ext import commands

from dspy_session.errors import ConfigurationError
from dspy_session_discord.inbound.hearing import Listeners
from dspy_session_discord.transport.cog import SessionCog


def together(*several: Listeners) -> Listeners:
    """Listeners that tell all of ``several``, in this order."""
    takers: dict[str, list[Callable[..., None]]] = {}
    for listeners in several:
        for event, take in listeners.items():
            takers.setdefault(event, []).append(take)

    def told(taking: list[Callable[..., None]]) -> Callable[..., None]:
        def tell(*arguments: Any) -> None:
            for take in taking:
                take(*arguments)

        return tell

    return {event: told(taking) for event, taking in takers.items()}


@asynccontextmanager
async def joined(client: discord.Client, listeners: Listeners) -> AsyncIterator[None]:
    """For as long as the block runs, ``client`` tells ``listeners`` too what it hears.

    A ``commands.Bot`` gets a cog, and messages that invoke one of its commands stay its own. Any other client gets
    handlers that call those it had.

    Raises:
        ConfigurationError: A ``commands.Bot`` is joined already.
    """
    if isinstance(client, commands.Bot | commands.AutoShardedBot):
        cog = SessionCog(client, listeners)
        try:
            await client.add_cog(cog)
        except discord.ClientException:
            raise ConfigurationError("this bot has a session cog already: join a bot with one Discord(bot=…)") from None
        try:
            yield
        finally:
            await client.remove_cog(cog.qualified_name)
    else:
        with ExitStack() as beside:
            for event, take in listeners.items():
                beside.enter_context(_beside(client, event, take))
            yield


@contextmanager
def _beside(client: discord.Client, event: str, take: Callable[..., None]) -> Iterator[None]:
    theirs = getattr(client, event, None)
    was_set = event in vars(client)

    async def both(*arguments: Any) -> None:
        take(*arguments)
        if theirs is not None:
            await theirs(*arguments)

    both.__name__ = event
    client.event(both)
    try:
        yield
    finally:
        if vars(client).get(event) is both:
            if was_set:
                setattr(client, event, theirs)
            else:
                delattr(client, event)
