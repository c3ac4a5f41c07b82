"""Running the platform in a test: the fake Discord on one side, a bot that echoes on the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any

import aiohttp
import discord

from dspy_session_chat.action import Action, Event
from dspy_session_chat.inbound import Inbound
from dspy_session_chat.platform import Receive
from dspy_session_discord import Discord
from tests.chat.places import saying
from tests.loopback.discord import FakeDiscord

HURRY: dict[str, Any] = {"guild_ready_timeout": 0.01}
"""Options for a client in a test: do not wait for more guilds."""

INTENTS = discord.Intents(guilds=True, messages=True, reactions=True, message_content=True)


class Echo:
    """The smallest bot: keeps what is for it in ``received`` and says it back; all that it hears is in ``heard``."""

    def __init__(self, platform: Discord) -> None:
        self._platform = platform
        self.heard: list[Event] = []
        self.received: list[Inbound] = []

    async def __call__(self, inbound: Event) -> None:
        self.heard.append(inbound)
        if not isinstance(inbound, Inbound) or inbound.addressed == "ambient" or inbound.author.is_bot:
            return
        if inbound.addressed == "thread" and inbound.mentions_others:
            return
        self.received.append(inbound)
        await self._platform.post(saying(inbound, f"echo: {inbound.text}", turn_id=f"turn-{inbound.event_id}"))


class Keep:
    """A receiver that only keeps; the test posts."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[Event] = asyncio.Queue()

    async def __call__(self, event: Event) -> None:
        self._events.put_nowait(event)

    async def next(self) -> Inbound:
        """The next message; it comes next."""
        inbound = await self.event()
        assert isinstance(inbound, Inbound)
        return inbound

    async def action(self) -> Action:
        """The next thing that somebody does; it comes next."""
        action = await self.event()
        assert isinstance(action, Action)
        return action

    async def event(self) -> Event:
        async with asyncio.timeout(10):
            return await self._events.get()

    @property
    def empty(self) -> bool:
        return self._events.empty()


class PromptClient(discord.Client):
    """A client that identifies anew without discord.py's wait of five seconds."""

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        pass


class LastingConnector(aiohttp.TCPConnector):
    """Outlives the clients that close it, as the one does that discord.py makes anew."""

    async def close(self, *, abort_ssl: bool = False) -> None:  # type: ignore[override]
        pass

    async def close_for_good(self) -> None:
        """Close it."""
        await super().close()


def own(fake: FakeDiscord, *, now: Callable[[], datetime] | None = None, **options: Any) -> Discord:
    """The platform with a client of its own, connected to ``fake``."""
    told: dict[str, Any] = {} if now is None else {"now": now}
    return Discord(token=fake.token, client_options={"connector": fake.connector(), **HURRY, **options}, **told)


@asynccontextmanager
async def running(platform: Discord, receive: Receive, fake: FakeDiscord) -> AsyncIterator[None]:
    """``platform`` runs, and has connected to ``fake``."""
    task = asyncio.create_task(platform.run(receive))
    connected = asyncio.create_task(fake.connected())
    try:
        await asyncio.wait([task, connected], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
        yield
    finally:
        connected.cancel()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def echoing(fake: FakeDiscord) -> AsyncIterator[Echo]:
    """An echo bot in ``fake``."""
    platform = own(fake)
    echo = Echo(platform)
    async with running(platform, echo, fake):
        yield echo
