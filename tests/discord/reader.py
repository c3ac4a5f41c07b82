"""A real client that hands back each message as discord.py reads it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import discord

from dspy_session_chat.inbound import Inbound
from dspy_session_discord.translate import Ignored, translate
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
        waiting = asyncio.ensure_future(
            self.client.wait_for("message", check=lambda one: one.id == int(payload["id"]), timeout=10)
        )
        await asyncio.sleep(0)  # wait_for listens from here on
        await self.fake.deliver(payload)
        message = await waiting
        assert isinstance(message, discord.Message)
        return message

    def payload(self, channel: Channel, author: User, text: str, **changes: Any) -> Payload:
        return self.fake.seen(Message(self.fake.snowflakes.next(), channel, author, text)) | changes

    async def translated(self, channel: Channel, author: User, text: str, **changes: Any) -> Inbound | Ignored:
        payload = self.payload(channel, author, text, **changes)
        return translate(await self.read(payload), self.fake.bot.id)

    async def inbound(self, channel: Channel, author: User, text: str, **changes: Any) -> Inbound:
        translation = await self.translated(channel, author, text, **changes)
        assert isinstance(translation, Inbound), translation
        return translation
