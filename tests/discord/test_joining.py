"""Joining a client that has handlers of its own."""

from __future__ import annotations

import asyncio

import discord
import pytest
from discord.ext import commands

from dspy_session.errors import ConfigurationError, PlatformError
from dspy_session_chat.action import Deletion, Edit, Reaction
from dspy_session_chat.reply import Button
from dspy_session_discord import Discord, conversation_key
from tests.discord.conftest import Place
from tests.discord.talk import HURRY, INTENTS, Echo, Keep, running
from tests.loopback.discord import FakeDiscord


def a_bot(fake: FakeDiscord, prefix: str | None = "!") -> commands.Bot:
    """A bot with a command, and a listener that keeps what it hears in ``bot.heard``."""
    bot = commands.Bot(command_prefix=prefix, intents=INTENTS, connector=fake.connector(), **HURRY)  # type: ignore[arg-type]

    @bot.command()
    async def ping(context: commands.Context[commands.Bot]) -> None:
        await context.send("pong")

    return bot


async def test_a_commands_bot_keeps_its_commands_and_its_listeners(fake: FakeDiscord, place: Place) -> None:
    bot = a_bot(fake)
    heard: list[discord.Message] = []

    async def listen(message: discord.Message) -> None:
        heard.append(message)

    bot.add_listener(listen, "on_message")
    platform = Discord(bot=bot, token=fake.token)
    echo = Echo(platform)
    dm = fake.dm(place.ada)
    async with running(platform, echo, fake):
        await fake.say(dm, place.ada, "!ping")
        pong = await fake.next_post()
        await fake.say(dm, place.ada, "hello")
        answer = await fake.next_post()
        assert "dspy-session" in bot.cogs

    assert (pong.content, answer.content) == ("pong", "echo: hello")
    assert [inbound.text for inbound in echo.received] == ["hello"]
    assert [message.content for message in heard if not message.author.bot] == ["!ping", "hello"]
    assert not bot.cogs
    assert bot.is_closed()


async def test_a_commands_bot_tells_of_all_that_people_do(fake: FakeDiscord, place: Place) -> None:
    bot = a_bot(fake)
    platform, keep = Discord(bot=bot, token=fake.token), Keep()
    dm = fake.dm(place.ada)
    answer = await fake.say(dm, fake.bot, "hello")
    async with running(platform, keep, fake):
        said = await fake.say(dm, place.ada, "hi")
        inbound = await keep.next()
        await platform.begin(inbound, "one moment", [Button("stop", "Stop")])
        await fake.press(await fake.next_post(), place.ada, "Stop")
        await keep.action()
        deeds: list[object] = []
        for doing in (
            fake.react(answer, place.ada, "👍"),
            fake.unreact(answer, place.ada, "👍"),
            fake.edit(said, "hi there"),
            fake.delete(said),
            fake.delete_many(answer),
        ):
            await doing
            deeds.append((await keep.action()).deed)
        assert len(bot.extra_events["on_raw_message_edit"]) == 1

    assert deeds == [
        Reaction("👍", str(answer.id), added=True),
        Reaction("👍", str(answer.id), added=False),
        Edit(str(said.id), "hi there"),
        Deletion(str(said.id)),
        Deletion(str(answer.id)),
    ]
    assert not any(bot.extra_events.values())


async def test_a_bot_with_slash_commands_only_is_joined_too(fake: FakeDiscord, place: Place) -> None:
    bot = commands.Bot(command_prefix=None, intents=INTENTS, connector=fake.connector(), **HURRY)  # type: ignore[arg-type]

    @bot.event
    async def on_message(message: discord.Message) -> None:
        """Text commands are not wanted."""

    platform = Discord(bot=bot, token=fake.token)
    async with running(platform, Echo(platform), fake):
        await fake.say(fake.dm(place.ada), place.ada, "hello")
        answer = await fake.next_post()

    assert answer.content == "echo: hello"


async def test_a_client_keeps_its_handler_and_gets_it_back(fake: FakeDiscord, place: Place) -> None:
    keys: list[str] = []

    class Mine(discord.Client):
        async def on_message(self, message: discord.Message) -> None:
            if not message.author.bot:
                keys.append(str(conversation_key(message)))

    client = Mine(intents=INTENTS, connector=fake.connector(), **HURRY)
    platform = Discord(bot=client, token=fake.token)
    echo = Echo(platform)
    async with running(platform, echo, fake):
        await fake.say(place.general, place.ada, f"{fake.bot.mention} hello")
        await fake.next_post()
        assert "on_message" in vars(client)

    assert keys == [str(echo.received[0].key)]
    assert "on_message" not in vars(client)


async def test_a_handler_that_was_set_by_decorator_is_put_back(fake: FakeDiscord, place: Place) -> None:
    client = discord.Client(intents=INTENTS, connector=fake.connector(), **HURRY)
    heard: list[str] = []

    @client.event
    async def on_message(message: discord.Message) -> None:
        heard.append(message.content)

    platform = Discord(bot=client, token=fake.token)
    async with running(platform, Echo(platform), fake):
        await fake.say(fake.dm(place.ada), place.ada, "hello")
        await fake.next_post()

    assert heard[0] == "hello"
    assert vars(client)["on_message"] is on_message


async def test_a_bot_that_its_owner_runs_stays_the_owners(fake: FakeDiscord, place: Place) -> None:
    bot = a_bot(fake)
    platform = Discord(bot=bot)
    async with bot:
        owner = asyncio.create_task(bot.start(fake.token))
        async with running(platform, Echo(platform), fake):
            await fake.say(fake.dm(place.ada), place.ada, "hello")
            answer = await fake.next_post()

        assert answer.content == "echo: hello"
        assert not bot.is_closed()
        assert not bot.cogs
        await fake.say(fake.dm(place.ada), place.ada, "!ping")
        assert (await fake.next_post()).content == "pong"
    await owner


async def test_a_bot_is_joined_once(fake: FakeDiscord) -> None:
    bot = a_bot(fake)
    async with running(Discord(bot=bot, token=fake.token), Keep(), fake):
        with pytest.raises(ConfigurationError, match="session cog already"):
            await Discord(bot=bot).run(Keep())


async def test_a_client_that_is_closed_from_elsewhere_ends_the_run(fake: FakeDiscord) -> None:
    client = discord.Client(intents=INTENTS, connector=fake.connector(), **HURRY)
    run = asyncio.create_task(Discord(bot=client, token=fake.token).run(Keep()))
    await fake.connected()
    await client.wait_until_ready()
    await client.close()

    with pytest.raises(PlatformError, match="was closed"):
        await run


async def test_a_joined_bot_that_cannot_read_messages_is_pointed_out(
    fake: FakeDiscord, caplog: pytest.LogCaptureFixture
) -> None:
    modest = discord.Intents(guilds=True, messages=True)
    client = discord.Client(intents=modest, connector=fake.connector(), **HURRY)
    async with running(Discord(bot=client, token=fake.token), Keep(), fake):
        pass

    assert "Message Content Intent" in caplog.text


def test_options_for_our_client_do_not_go_with_a_client_of_yours() -> None:
    bot = discord.Client(intents=INTENTS)
    assert repr(Discord(bot=bot)) == "Discord(bot=Client)"
    with pytest.raises(ConfigurationError, match="set them on your bot"):
        Discord(bot=bot, client_options={"proxy": "http://127.0.0.1:3128"})
