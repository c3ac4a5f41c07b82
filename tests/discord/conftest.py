"""A fake Discord with a server, a channel and two people."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from tests.loopback.discord import Channel, FakeDiscord, Guild, User


@dataclass(frozen=True)
class Place:
    guild: Guild
    general: Channel
    ada: User
    bob: User


@pytest.fixture
async def fake() -> AsyncIterator[FakeDiscord]:
    async with FakeDiscord() as discord:
        yield discord


@pytest.fixture
def place(fake: FakeDiscord) -> Place:
    guild = fake.guild("Acme")
    return Place(guild, fake.channel(guild, "general"), fake.person("Ada"), fake.person("Bob"))
