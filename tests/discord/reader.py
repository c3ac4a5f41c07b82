"""A real client that hands back each message as discord.py reads it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import discord

from dspy_session_chat.inbound import Inbound
from dspy_session_discord.inbound.translate import Ignored, translate
from tests.loopback.discord import Channel, FakeDiscord, Message, User

Payload = dict[str, Any]


@dataclass
class Reader:
    """Reads payloads as the gateway delivers them.

    Args:
        fake: Discord.
        client: The client, connected to it.
    """

    fake: FakeDiscord
    client: discord.Client

    async def read(self, payload: Payload) -> discord.Message:
        message = await self._delivered(payload, "MESSAGE_CREATE", "message", lambda one: one.id)
        assert isinstance(message, discord.Message)
        return message

    async def read_edit(self, payload: Payload) -> discord.RawMessageUpdateEvent:
        event = await self._delivered(payload, "MESSAGE_UPDATE", "raw_message_edit", lambda one: one.message_id)
        assert isinstance(event, discord.RawMessageUpdateEvent)
        return event

    async def _delivered(self, payload: Payload, event: str, name: str, number: Callable[[Any], int]) -> object:
        """What discord.py makes of ``payload``, by the name that it has for it."""
        waiting = asyncio.ensure_future(
            self.client.wait_for(name, check=lambda one: number(one) == int(payload["id"]), timeout=10)
        )
        await asyncio.sleep(0)  # wait_for listens from here on
        await self.fake.deliver(payload, event)
        return await waiting

    def payload(self, channel: Channel, author: User, text: str, **changes: Any) -> Payload:
        return self.fake.seen(Message(self.fake.snowflakes.next(), channel, author, text)) | changes

    async def translated(self, channel: Channel, author: User, text: str, **changes: Any) -> Inbound | Ignored:
        payload = self.payload(channel, author, text, **changes)
        return translate(await self.read(payload), self.fake.bot.id)

    async def inbound(self, channel: Channel, author: User, text: str, **changes: Any) -> Inbound:
        translation = await self.translated(channel, author, text, **changes)
        assert isinstance(translation, Inbound), translation
        return translation
