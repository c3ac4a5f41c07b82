"""The fake Discord, asked by the real client: it does and refuses what Discord does and refuses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import discord
import pytest

from tests.discord.conftest import Place
from tests.discord.talk import HURRY, INTENTS
from tests.loopback.discord import FakeDiscord

GATEWAY = "https://gateway.discord.gg/?v=10&encoding=json"


@pytest.fixture
async def client(fake: FakeDiscord, place: Place) -> AsyncIterator[discord.Client]:
    async with discord.Client(intents=INTENTS, connector=fake.connector(), **HURRY) as client:
        connection = asyncio.create_task(client.start(fake.token))
        await fake.connected()
        await client.wait_until_ready()
        yield client
    await connection


def general(client: discord.Client) -> discord.TextChannel:
    (channel,) = client.guilds[0].text_channels
    return channel


async def test_messages_are_written_read_changed_and_deleted(client: discord.Client, fake: FakeDiscord) -> None:
    sent = [await general(client).send(f"number {number}") for number in range(5)]
    await sent[0].edit(content="changed")
    await sent[1].delete()

    assert [message.content async for message in general(client).history()] == [
        "number 4",
        "number 3",
        "number 2",
        "changed",
    ]
    assert [message.id async for message in general(client).history(before=sent[3], limit=1)] == [sent[2].id]
    assert [message.id async for message in general(client).history(after=sent[2])] == [sent[3].id, sent[4].id]
    assert (await general(client).fetch_message(sent[4].id)).content == "number 4"
    with pytest.raises(discord.NotFound, match="10008"):
        await general(client).fetch_message(sent[1].id)


async def test_reactions_are_added_and_taken_back(client: discord.Client, fake: FakeDiscord) -> None:
    message = await general(client).send("like it?")
    await message.add_reaction("👍")
    (reaction,) = (await message.channel.fetch_message(message.id)).reactions
    assert (reaction.emoji, reaction.count, reaction.me) == ("👍", 1, True)
    assert [user.id async for user in reaction.users()] == [fake.bot.id]

    await message.remove_reaction("👍", client.user or discord.Object(0))
    assert (await message.channel.fetch_message(message.id)).reactions == []


async def test_threads_are_opened_renamed_joined_and_left(
    client: discord.Client, fake: FakeDiscord, place: Place
) -> None:
    message = await general(client).send("let us talk")
    thread = await message.create_thread(name="talk")
    assert (thread.id, thread.owner_id, thread.parent_id) == (message.id, fake.bot.id, place.general.id)
    await thread.edit(name="long talk")
    await thread.leave()
    assert fake.bot.id not in fake.channels[thread.id].members
    await thread.join()
    assert fake.bot.id in fake.channels[thread.id].members
    fetched = await client.fetch_channel(thread.id)
    assert isinstance(fetched, discord.Thread)
    assert (fetched.name, fetched.me is not None) == ("long talk", True)

    with pytest.raises(discord.HTTPException, match="160004"):
        await message.create_thread(name="again")
    with pytest.raises(discord.HTTPException, match="between 1 and 100"):
        await (await general(client).send("x")).create_thread(name="x" * 101)


async def test_a_direct_message_can_be_opened(client: discord.Client, fake: FakeDiscord, place: Place) -> None:
    user = discord.Object(place.ada.id, type=discord.User)
    channel = await client.create_dm(user)
    assert channel.id == fake.dm(place.ada).id
    assert (await client.fetch_guild(place.guild.id)).name == "Acme"

    place.ada.accepts_dms = False
    with pytest.raises(discord.Forbidden, match="50007"):
        await channel.send("hi")


@pytest.mark.parametrize(
    ("permission", "request_of"),
    [
        ("send_messages", lambda message: message.channel.send("x")),
        ("send_messages", lambda message: message.channel.typing()),
        ("add_reactions", lambda message: message.add_reaction("👍")),
        ("create_public_threads", lambda message: message.create_thread(name="x")),
        ("view_channel", lambda message: message.channel.fetch_message(message.id)),
    ],
)
async def test_a_missing_permission_is_refused(
    client: discord.Client, place: Place, permission: str, request_of: Any
) -> None:
    message = await general(client).send("x")
    place.general.denied.add(permission)
    with pytest.raises(discord.Forbidden):
        await request_of(message)


@pytest.mark.parametrize(
    ("content", "refusal"), [("x" * 2001, "50035.*2000 or fewer"), (" \n ", "50006"), ("", "50006")]
)
async def test_a_message_that_discord_does_not_take(client: discord.Client, content: str, refusal: str) -> None:
    with pytest.raises(discord.HTTPException, match=f"(?s){refusal}"):
        await general(client).send(content)


async def test_pings_follow_the_allowed_mentions(client: discord.Client, fake: FakeDiscord, place: Place) -> None:
    text = f"@everyone {place.ada.mention} {place.bob.mention} {place.guild.bot_role.mention}"
    asked = await general(client).send("asked")
    ada = discord.Object(place.ada.id)
    for allowed in (
        None,
        discord.AllowedMentions.none(),
        discord.AllowedMentions(everyone=False, users=[ada], roles=False, replied_user=True),
    ):
        options: dict[str, Any] = {} if allowed is None else {"allowed_mentions": allowed}
        await general(client).send(text, reference=asked, **options)

    people, bot = [str(place.ada.id), str(place.bob.id)], str(fake.bot.id)
    assert [post.pings for post in fake.posts[1:]] == [
        [*people, str(place.guild.bot_role.id), "@everyone", bot],
        [],
        [str(place.ada.id), bot],
    ]


async def test_a_reply_to_nothing_is_refused_unless_that_is_fine(client: discord.Client) -> None:
    asked = await general(client).send("asked")
    await asked.delete()
    with pytest.raises(discord.HTTPException, match="Unknown message"):
        await general(client).send("x", reference=asked)
    assert (await general(client).send("x", reference=asked.to_reference(fail_if_not_exists=False))).reference is None


async def test_a_global_rate_limit_and_a_cut_connection(client: discord.Client, fake: FakeDiscord) -> None:
    fake.limit("POST", "/channels/*/messages", retry_after=0.02)
    await general(client).send("waited")
    fake.cut("POST", "/channels/*/messages")
    with pytest.raises(aiohttp.ClientError):
        await general(client).send("cut")

    assert [post.content for post in fake.posts] == ["waited"]


async def test_no_other_host_is_there(fake: FakeDiscord) -> None:
    async with aiohttp.ClientSession(connector=fake.connector()) as session:
        with pytest.raises(aiohttp.ClientConnectorError, match="not part of the loopback world"):
            await session.get("https://example.com/")
        async with session.get("https://discord.com/api/v10/users/@me") as answer:
            assert answer.status == 401


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ({"op": 3, "d": {}}, 4003),
        ({"op": 2, "d": {"token": "wrong", "intents": 1}}, 4004),
        ({"op": 6, "d": {"token": "wrong", "session_id": "s", "seq": 1}}, 4004),
    ],
)
async def test_the_gateway_closes_on_what_discord_closes_on(
    fake: FakeDiscord, frame: dict[str, Any], code: int
) -> None:
    async with (
        aiohttp.ClientSession(connector=fake.connector()) as session,
        session.ws_connect(GATEWAY) as socket,
    ):
        assert (await socket.receive_json())["op"] == 10
        await socket.send_json(frame)
        closing = await socket.receive()
    assert (closing.type, closing.data) == (aiohttp.WSMsgType.CLOSE, code)


async def test_the_gateway_speaks_without_compression_too(fake: FakeDiscord) -> None:
    identify = {"op": 2, "d": {"token": fake.token, "intents": 1 << 12}}
    async with (
        aiohttp.ClientSession(connector=fake.connector()) as session,
        session.ws_connect(GATEWAY) as socket,
    ):
        await socket.receive_json()
        await socket.send_json(identify)
        ready = await socket.receive_json()
        assert (ready["t"], ready["s"]) == ("READY", 1)
        await socket.send_json(identify)
        assert (await socket.receive()).data == 4005
