"""A fake Discord with a server, a channel and two people."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import discord
import pytest

from tests.discord.reader import Reader
from tests.discord.talk import HURRY, INTENTS
from tests.loopback.discord import Channel, FakeDiscord, Guild, User


@dataclass(frozen=True)
class Place:
    guild: Guild
    general: Channel
    ada: User
    bob: User


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the bot tries again it tries at once."""
    monkeypatch.setattr("dspy_session.conversation.runtime.LONGEST_PAUSE", 0.01)


@pytest.fixture
async def fake() -> AsyncIterator[FakeDiscord]:
    async with FakeDiscord() as discord:
        yield discord


@pytest.fixture
def place(fake: FakeDiscord) -> Place:
    guild = fake.guild("Acme")
    return Place(guild, fake.channel(guild, "general"), fake.person("Ada"), fake.person("Bob"))


@pytest.fixture
async def reader(fake: FakeDiscord, place: Place) -> AsyncIterator[Reader]:
    client = discord.Client(intents=INTENTS, connector=fake.connector(), **HURRY)
    async with client:
        connection = asyncio.create_task(client.start(fake.token))
        await fake.connected()
        yield Reader(fake, client)
    await connection
