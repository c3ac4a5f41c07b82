"""Commands as Discord lists them: what it is told, and when."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import discord
import pytest
from discord import app_commands
from discord.ext import commands

from dspy_session.errors import ConfigurationError
from dspy_session_chat.commands import BotCommand
from dspy_session_chat.needs import Named
from dspy_session_discord import Discord
from dspy_session_discord.commands.listed import ASKS, ASKS_ABOUT, listed, same, value_in
from tests.discord.conftest import Place
from tests.discord.talk import HURRY, INTENTS, Keep, running
from tests.loopback.discord import FakeDiscord


async def _nothing(asked: object) -> None:
    """Do nothing."""


UNDO = BotCommand("undo", "Take the last answer back.", _nothing, takes="[how many]")
HELP = BotCommand("help", "What I can do.", _nothing, private=True)
STOCK = BotCommand("stock", "What is in the shop.", _nothing, admin=True)


def offering(fake: FakeDiscord, offered: Sequence[Named] = (UNDO, HELP), **options: Any) -> Discord:
    platform = Discord(token=fake.token, client_options={"connector": fake.connector(), **HURRY}, **options)
    platform.use_commands(offered)
    return platform


def names(fake: FakeDiscord, guild: int | None = None) -> list[str]:
    return [command["name"] for command in fake.commands.all(guild)]


def writes(fake: FakeDiscord) -> list[str]:
    return [method for method, path in fake.requests if path.startswith("/applications/") and method != "GET"]


def test_each_command_is_listed_with_what_it_takes() -> None:
    undo, stock = listed([UNDO, STOCK])[1:3]
    (option,) = undo.payload(in_one_server=False)["options"]

    assert (option["name"], option["description"], option["required"]) == ("how-many", "how many", False)
    assert stock.payload(in_one_server=True)["default_member_permissions"] == "32"
    assert "contexts" not in stock.payload(in_one_server=True)
    assert [command.name for command in listed([])] == [ASKS.name, ASKS_ABOUT.name]
    assert listed([HELP])[1].private


def test_a_command_that_is_called_ask_goes_before_ours() -> None:
    mine = BotCommand("ask", "Ask the shop.", _nothing, takes="[!]")
    assert listed([mine])[0].description == "Ask the shop."
    assert [option.name for option in listed([mine])[0].options] == ["text"]


def test_what_goes_without_saying_is_no_difference() -> None:
    ours = listed([UNDO])[1].payload(in_one_server=False)
    theirs = {**ours, "id": "1", "version": "2", "contexts": [1, 0], "options": [dict(ours["options"][0])]}
    del theirs["nsfw"], theirs["options"][0]["required"]

    assert same(ours, theirs)
    for changed in ({"description": "Undo."}, {"contexts": [0]}, {"default_member_permissions": "8"}, {"options": []}):
        assert not same(ours, {**theirs, **changed})


def test_what_was_given_is_read_whatever_it_is_called() -> None:
    assert value_in([{"type": 3, "name": "day", "value": " sunday "}]) == "sunday"
    assert value_in([{"type": 11, "name": "file", "value": "17"}]) == ""


@pytest.mark.parametrize("wrong", ["everywhere", [True], [1.5], ["acme"], 5])
def test_where_commands_are_listed_is_looked_at(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="ids of servers"):
        Discord(commands=wrong)


async def test_discord_is_told_of_what_differs_and_of_nothing_else(fake: FakeDiscord, place: Place) -> None:
    keep = Keep()
    fake.commands.put(None, [{"name": "launch", "type": 4}, {"name": "old", "description": "Of an earlier version."}])
    async with running(offering(fake), keep, fake):
        await fake.until(lambda: writes(fake))
    first, launch = fake.commands.all()[:-1], fake.commands.all()[-1]
    async with running(offering(fake), keep, fake):
        await fake.until(lambda: fake.requested("GET", "/commands") == 2)
        await fake.say(fake.dm(place.ada), place.ada, "hi")
        await keep.next()
        assert writes(fake) == ["PUT"]

    async with running(offering(fake, [UNDO, STOCK]), keep, fake):
        await fake.until(lambda: len(writes(fake)) == 2)

    assert [command["name"] for command in first] == [ASKS.name, "undo", "help", ASKS_ABOUT.name]
    assert names(fake) == [ASKS.name, "undo", "stock", ASKS_ABOUT.name, "launch"]
    assert fake.commands.all()[-1]["id"] == launch["id"]
    assert {one["id"] for one in fake.commands.all() if one["name"] == "undo"} == {first[1]["id"]}


async def test_commands_of_single_servers(fake: FakeDiscord, place: Place, caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.addFilter(lambda _: fake.changed() is None)  # the fake does not see that its refusal was read
    fake.commands.put(None, [{"name": "old", "description": "Of an earlier version."}])
    async with running(offering(fake, commands=[str(place.guild.id), 17]), Keep(), fake):
        await fake.until(lambda: "applications.commands" in caplog.text)

    assert names(fake, place.guild.id) == [ASKS.name, "undo", "help", ASKS_ABOUT.name]
    assert names(fake) == []
    assert "the server 17 does not list" in caplog.text


async def test_lists_are_left_alone_where_that_is_wanted_and_commands_are_taken_all_the_same(
    fake: FakeDiscord, place: Place
) -> None:
    fake.commands.put(None, [{"name": "undo", "description": "Take it back."}])
    keep = Keep()
    async with running(offering(fake, commands=None), keep, fake):
        given = await fake.command(fake.dm(place.ada), place.ada, "undo")
        command = await keep.action()

    assert command.event_id == str(given.id)
    assert not fake.requested("GET", "/commands")


async def test_what_discord_does_not_take_is_one_line(
    fake: FakeDiscord, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "dspy_session_discord")
    caplog.handler.addFilter(lambda _: fake.changed() is None)
    many = [BotCommand(f"word-{number}", "A word.", _nothing) for number in range(100)]
    fake.commands.new, fake.endpoint = 199, "https://example.com/interactions"
    async with running(offering(fake, many), Keep(), fake):
        await fake.until(lambda: "200 new commands a day" in caplog.text)

    assert "/word-99 has to be written as a message" in caplog.text
    assert "to https://example.com/interactions, so this bot hears of none" in caplog.text


async def test_a_bot_with_commands_of_its_own_keeps_them(fake: FakeDiscord, place: Place) -> None:
    theirs: list[str] = []

    class Mine(commands.Bot):
        async def setup_hook(self) -> None:
            await self.tree.sync()

    bot = Mine(command_prefix=commands.when_mentioned, intents=INTENTS, connector=fake.connector(), **HURRY)

    async def answer(interaction: discord.Interaction) -> None:
        theirs.append(str(interaction.id))
        await interaction.response.send_message("pong")

    for name in ("ping", "help"):
        bot.tree.add_command(app_commands.Command(name=name, description="Mine.", callback=answer))
    fake.commands.put(None, [{"name": "elsewhere", "description": "Of another process of theirs."}])
    platform, keep = Discord(bot=bot, token=fake.token), Keep()
    platform.use_commands([UNDO, HELP, STOCK])
    async with running(platform, keep, fake):
        await fake.until(lambda: fake.requested("GET", "/commands"))
        for name in ("ping", "help"):
            await fake.command(place.general, place.ada, name)
            assert (await fake.next_post()).content == "pong"
        undone = await fake.command(fake.dm(place.ada), place.ada, "undo", "2")
        command = await keep.action()
        await fake.until(lambda: undone.original)
        asked = await fake.command(place.general, place.ada, "ask", "Do you sell bells?", file=("a.txt", b"a"))
        question = await keep.next()
        chosen = await fake.choose(await fake.say(place.general, place.bob, "hi"), place.ada, ASKS_ABOUT.name)
        await fake.until(lambda: chosen.modal)

    assert len(theirs) == 2
    assert (command.event_id, question.event_id) == (str(undone.id), str(asked.id))
    # What the owner brings to Discord has ours among it, just as we would have it: there is nothing to add.
    assert writes(fake) == ["PUT"]
    assert sorted(names(fake)) == sorted(["ping", "help", ASKS.name, "undo", "stock", ASKS_ABOUT.name])
    assert [command.name for command in bot.tree.get_commands()] == ["ping", "help"]


async def test_a_client_without_a_tree_gets_ours_added_to_what_is_there(fake: FakeDiscord, place: Place) -> None:
    client = discord.Client(intents=INTENTS, connector=fake.connector(), **HURRY)
    fake.commands.put(None, [{"name": "ping", "description": "Mine."}, {"name": "help", "description": "Old."}])
    platform, keep = Discord(bot=client, token=fake.token), Keep()
    platform.use_commands([HELP])
    async with running(platform, keep, fake):
        await fake.until(lambda: len(writes(fake)) == 3)
        await fake.command(place.general, place.ada, "ping")  # which is nothing to us
        await fake.command(place.general, place.ada, "help")
        command = await keep.action()
        assert keep.empty

    assert names(fake) == ["ping", "help", ASKS.name, ASKS_ABOUT.name]
    assert command.deed.name == "help"  # type: ignore[union-attr]
