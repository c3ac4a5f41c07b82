"""Servers spread over several connections, in one process and in several."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from discord.ext import commands

from dspy_session.conversation.runtime import Runtime
from dspy_session_chat import Bot
from dspy_session_discord import Discord, Shards
from dspy_session_discord.transport import pace, starting
from tests.chat.agents import Parrot, held
from tests.discord.talk import HURRY, INTENTS, Echo, LastingConnector, running
from tests.loopback.discord import Channel, FakeDiscord, User


@pytest.fixture(autouse=True)
def prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for."""
    monkeypatch.setattr(pace, "FIRST_PAUSE", 0.0)
    monkeypatch.setattr(starting, "BETWEEN_SECONDS", 0.0)
    monkeypatch.setattr(pace, "LONGEST", 0.0)


@pytest.fixture
def rooms(fake: FakeDiscord) -> list[Channel]:
    """A channel in a server of shard 0 of 2, and one in a server of shard 1."""
    first = fake.channel(fake.guild())
    second = fake.channel(fake.guild())  # its server is made three ids later
    return sorted((first, second), key=lambda room: 0 if room.guild is None else (room.guild.id >> 22) % 2)


@pytest.fixture
def ada(fake: FakeDiscord) -> User:
    return fake.person("Ada")


async def ask_everywhere(fake: FakeDiscord, rooms: list[Channel], ada: User) -> list[str]:
    """What is answered to a question in each room and in a DM, and where."""
    for room in rooms:
        await fake.say(room, ada, f"{fake.bot.mention} in {room.id}")
    await fake.say(fake.dm(ada), ada, "in private")
    answers = [await fake.next_post() for _ in range(3)]
    places = {room.id: room for room in [*rooms, fake.dm(ada)]}
    assert {(one.channel.parent or one.channel).id for one in answers} == set(places)
    return sorted(one.content for one in answers)


async def test_one_process_hears_all_shards_and_loses_one(
    fake: FakeDiscord, rooms: list[Channel], ada: User, caplog: pytest.LogCaptureFixture
) -> None:
    fake.gateway.shards = 2
    lasting = LastingConnector(resolver=fake.resolver(), ssl=fake.trust())
    platform = Discord(token=fake.token, shards="auto", client_options={"connector": lasting, **HURRY})
    echo, gateway = Echo(platform), fake.gateway
    async with running(platform, echo, fake):
        await fake.until(lambda: len(gateway.live) == 2)
        assert sorted(session.shard for session in gateway.live) == [(0, 2), (1, 2)]
        told = await ask_everywhere(fake, rooms, ada)
        await gateway.drop(4000, shard=1)
        await fake.until(lambda: gateway.resumed == 1)
        assert await ask_everywhere(fake, rooms, ada) == told
        await gateway.forget_sessions(shard=1)
        await fake.until(lambda: gateway.identified == 3)
        assert await ask_everywhere(fake, rooms, ada) == told
        fake.refuse("GET", "/users/@me", 503, "down")
        await gateway.say("{")
        await fake.until(lambda: gateway.identified == 5)
        assert await ask_everywhere(fake, rooms, ada) == told
    await lasting.close_for_good()

    assert len(echo.received) == 12
    assert "was not understood, connecting anew" in caplog.text
    assert "logs in again in 0 s: Discord did not let the bot log in: it answered 503 down" in caplog.text


async def test_a_bot_with_shards_of_its_own_is_joined(fake: FakeDiscord, rooms: list[Channel], ada: User) -> None:
    class Mine(commands.AutoShardedBot):
        async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
            """Not to wait."""

    bot = Mine(command_prefix="!", intents=INTENTS, connector=fake.connector(), shard_count=2, **HURRY)
    platform = Discord(bot=bot, token=fake.token)
    async with running(platform, Echo(platform), fake):
        await fake.until(lambda: len(fake.gateway.live) == 2)
        await ask_everywhere(fake, rooms, ada)


async def test_one_shard_of_a_plain_client(fake: FakeDiscord, rooms: list[Channel], ada: User) -> None:
    options = {"connector": fake.connector(), "shard_id": 1, "shard_count": 2, **HURRY}
    platform = Discord(token=fake.token, client_options=options)
    echo = Echo(platform)
    async with running(platform, echo, fake):
        await fake.say(fake.dm(ada), ada, "somebody else's")
        await fake.say(rooms[0], ada, f"{fake.bot.mention} somebody else's")
        await fake.say(rooms[1], ada, f"{fake.bot.mention} mine")
        await fake.next_post()
    assert [inbound.text for inbound in echo.received] == ["mine"]


class Process:
    """A bot in a process of its own, as far as a test can have one."""

    def __init__(self, fake: FakeDiscord, store: str, shard: int) -> None:
        self.agent = Parrot()
        options = {"connector": fake.connector(), **HURRY}
        self.bot = Bot(
            held(self.agent),
            platforms=[Discord(token=fake.token, shards=Shards((shard,), of=2), client_options=options)],
            store=store,
            grace=0.05,
        )


async def test_processes_with_a_shard_each_answer_once_and_for_each_other(
    fake: FakeDiscord, rooms: list[Channel], ada: User, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dspy_session_chat.bot.Runtime", partial(Runtime, poll=0.05))
    second = Process(fake, postgres_url, 1)
    async with second.bot:
        first = Process(fake, postgres_url, 0)
        async with first.bot:
            await fake.until(lambda: len(fake.gateway.live) == 2)
            answers = await ask_everywhere(fake, rooms, ada)
            assert len(answers) == 3
            assert first.agent.calls + second.agent.calls == 3

            first.agent.gate()
            open_again = second.agent.gate()
            asked = await fake.say(rooms[0], ada, f"{fake.bot.mention} before it dies")
            started = [asyncio.create_task(one.agent.started.wait()) for one in (first, second)]
            await asyncio.wait(started, return_when=asyncio.FIRST_COMPLETED)
        # Its shard is heard by nobody now, and its question is answered all the same.
        open_again.set()
        answer = await fake.next_post()
        for task in started:
            task.cancel()

    assert answer.channel.id == asked.id
    assert answer.content.startswith("before it dies!")
    assert len(fake.posts) == 4
