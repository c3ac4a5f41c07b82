"""The fake Discord, asked by the real client: it does and refuses what Discord does and refuses."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import discord
import pytest

from tests.discord.conftest import Place
from tests.discord.talk import HURRY, INTENTS
from tests.loopback.discord import FakeDiscord

TOKEN = "loopback.not-a-secret.token"
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


async def test_edits_are_refused_where_discord_refuses_them(
    client: discord.Client, fake: FakeDiscord, place: Place
) -> None:
    ours = await general(client).send("x")
    theirs = await fake.say(place.general, place.ada, "mine")
    with pytest.raises(discord.HTTPException, match=r"(?s)50035.*2000 or fewer"):
        await ours.edit(content="x" * 2001)
    with pytest.raises(discord.HTTPException, match="50006"):
        await ours.edit(content="")
    with pytest.raises(discord.Forbidden, match="50005"):
        await general(client).get_partial_message(theirs.id).edit(content="x")

    await ours.edit(content="y")
    assert [message.content for message in place.general.visible] == ["y", "mine"]
    assert place.general.visible[0].edited


def view(*buttons: discord.ui.Button[Any], per_row: int = 5) -> discord.ui.View:
    view = discord.ui.View(timeout=None)
    for number, button in enumerate(buttons):
        button.row = number // per_row
        view.add_item(button)
    view.stop()
    return view


def rows(*labels: str) -> list[dict[str, Any]]:
    return [{"type": 1, "components": [{"type": 2, "style": 2, "label": one, "custom_id": one} for one in labels]}]


@pytest.mark.parametrize(
    ("components", "refusal"),
    [
        (rows(*"abcdef"), "between 1 and 5"),
        (rows("a") * 6, "between 1 and 5"),
        (rows("a", "a"), "cannot be duplicated"),
        (rows("x" * 81), "between 1 and 80"),
        (rows(""), "between 1 and 100"),
        (rows("x" * 101), "between 1 and 100"),
        ([{"type": 1, "components": []}], "between 1 and 5"),
        (
            [{"type": 1, "components": [{"type": 2, "style": 5, "url": "https://a.example", "label": "x"}]}],
            "not one of",
        ),
        ([{"type": 1, "components": [{"type": 2, "style": 1, "label": "x"}]}], "between 1 and 100"),
    ],
)
async def test_rows_of_buttons_that_discord_does_not_take(
    fake: FakeDiscord, place: Place, components: list[dict[str, Any]], refusal: str
) -> None:
    async with (
        aiohttp.ClientSession(connector=fake.connector(), headers={"Authorization": f"Bot {fake.token}"}) as session,
        session.post(
            f"https://discord.com/api/v10/channels/{place.general.id}/messages",
            json={"content": "press", "components": components},
        ) as answer,
    ):
        assert answer.status == 400
        assert refusal in await answer.text()
    assert not fake.posts


async def test_buttons_stay_until_they_are_edited_away(client: discord.Client, fake: FakeDiscord) -> None:
    sent = await general(client).send("press", view=view(discord.ui.Button(label="A", custom_id="a")))
    await sent.edit(content="press!")
    assert list(fake.posts[0].buttons) == ["A"]
    await sent.edit(view=None)
    assert fake.posts[0].buttons == {}


async def test_files_are_uploaded_kept_and_served(client: discord.Client, fake: FakeDiscord, place: Place) -> None:
    sent = await general(client).send(file=discord.File(io.BytesIO(b"one"), "one.txt"))
    (first,) = sent.attachments
    assert (first.filename, first.size, first.content_type) == ("one.txt", 3, "text/plain")
    assert await first.read() == b"one"
    await sent.edit(attachments=[first, discord.File(io.BytesIO(b"two"), "two")])
    assert fake.posts[0].files == {"one.txt": b"one", "two": b"two"}
    await sent.edit(content="words", attachments=[])
    assert fake.posts[0].files == {}

    fake.file_limit = 2
    with pytest.raises(discord.HTTPException, match="40005"):
        await general(client).send(file=discord.File(io.BytesIO(b"one"), "one.txt"))
    with pytest.raises(discord.HTTPException, match="10 or fewer"):
        await general(client).send(files=[discord.File(io.BytesIO(b"x"), "x") for _ in range(11)])
    place.general.denied.add("attach_files")
    with pytest.raises(discord.Forbidden, match="50013"):
        await general(client).send("words", file=discord.File(io.BytesIO(b"x"), "x"))


async def test_an_interaction_is_answered_once_and_in_time(
    client: discord.Client, fake: FakeDiscord, place: Place
) -> None:
    await general(client).send("press", view=view(discord.ui.Button(label="A", custom_id="a")))

    async def pressed() -> discord.Interaction:
        waiting = asyncio.ensure_future(client.wait_for("interaction", timeout=10))
        await asyncio.sleep(0)  # wait_for listens from here on
        await fake.press(fake.posts[0], place.ada, "A")
        interaction = await waiting
        assert isinstance(interaction, discord.Interaction)
        return interaction

    async def answered(interaction: discord.Interaction, **answer: Any) -> int:
        url = f"https://discord.com/api/v10/interactions/{interaction.id}/{interaction.token}/callback"
        async with (
            aiohttp.ClientSession(connector=fake.connector()) as session,
            session.post(url, json=answer) as response,
        ):
            body = await response.json()
        return int(body.get("code", 0))

    in_time, late, wrong = await pressed(), await pressed(), await pressed()
    await in_time.response.defer()
    assert await answered(in_time, type=6) == 40060
    fake.interactions[late.id].expired = True
    with pytest.raises(discord.NotFound, match="10062"):
        await late.response.defer()
    assert await answered(wrong, type=1) == 50035
    for modal in (
        {"title": "", "custom_id": "x", "components": [{"type": 18, "label": "y"}]},
        {"title": "x" * 46, "custom_id": "x", "components": [{"type": 18, "label": "y"}]},
        {"title": "x", "custom_id": "", "components": [{"type": 18, "label": "y"}]},
        {"title": "x", "custom_id": "x", "components": []},
        {"title": "x", "custom_id": "x", "components": [{"type": 18, "label": ""}]},
    ):
        assert await answered(wrong, type=9, data=modal) == 50035
    await wrong.response.send_modal(a_window())
    assert fake.interactions[wrong.id].modal


async def test_a_window_is_sent_off_and_opens_no_other(client: discord.Client, fake: FakeDiscord, place: Place) -> None:
    interactions: asyncio.Queue[discord.Interaction] = asyncio.Queue()

    @client.event
    async def on_interaction(interaction: discord.Interaction) -> None:
        interactions.put_nowait(interaction)

    await general(client).send("press", view=view(discord.ui.Button(label="A", custom_id="a")))
    pressed = await fake.press(fake.posts[0], place.ada, "A")
    await (await interactions.get()).response.send_modal(a_window())
    await fake.submit(pressed, "because")
    submitted = await interactions.get()

    assert submitted.type is discord.InteractionType.modal_submit
    assert submitted.user.id == place.ada.id
    assert "because" in str(submitted.data)
    with pytest.raises(discord.HTTPException, match="50035"):
        await submitted.response.send_modal(a_window())
    await submitted.response.defer()


def a_window() -> discord.ui.Modal:
    modal = discord.ui.Modal(title="Why?", custom_id="why")
    modal.add_item(discord.ui.Label(text="Why?", component=discord.ui.TextInput()))
    modal.stop()
    return modal


async def test_reactions_edits_and_deletions_are_told_as_far_as_intents_go(fake: FakeDiscord, place: Place) -> None:
    told: dict[str, list[str]] = {}
    for name, intents in (
        ("all", INTENTS),
        ("guild", discord.Intents(guilds=True, guild_messages=True, guild_reactions=True, message_content=True)),
        ("no reactions", discord.Intents(guilds=True, messages=True, message_content=True)),
    ):
        heard = told[name] = []
        async with discord.Client(intents=intents, connector=fake.connector(), **HURRY) as client:
            for event in ("raw_reaction_add", "raw_reaction_remove", "raw_message_edit", "raw_message_delete"):

                async def hear(_: Any, event: str = event) -> None:
                    heard.append(event.removeprefix("raw_"))  # noqa: B023 - heard before the next turn

                hear.__name__ = f"on_{event}"
                client.event(hear)
            done = asyncio.Event()

            @client.event
            async def on_message(message: discord.Message, done: asyncio.Event = done) -> None:
                if message.content == "done":
                    done.set()

            connection = asyncio.create_task(client.start(fake.token))
            await fake.until(lambda: len(fake.gateway.live) == 1)
            await client.wait_until_ready()
            for channel in (place.general, fake.dm(place.ada)):
                said = await fake.say(channel, place.ada, "hi")
                await fake.react(said, place.bob, "👍")
                await fake.unreact(said, place.bob, "👍")
                await fake.edit(said, "hello")
                await fake.delete(said)
            await fake.say(place.general, place.ada, "done")
            await done.wait()
        await connection
        await fake.until(lambda: not fake.gateway.live)

    everything = ["reaction_add", "reaction_remove", "message_edit", "message_delete"]
    assert told == {"all": everything * 2, "guild": everything, "no reactions": everything[2:] * 2}


async def test_the_cdn_serves_what_was_uploaded_on_its_own_hosts(fake: FakeDiscord, place: Place) -> None:
    message = await fake.say(place.general, place.ada, "look", files={"a.txt": b"words"})
    url = message.attachments[0]["url"]
    async with aiohttp.ClientSession(connector=fake.connector()) as session:
        for address, status in (
            (url, 200),
            (url.replace("cdn.discordapp.com", "media.discordapp.net"), 200),
            (url.replace("a.txt", "b.txt"), 404),
            (url.replace("cdn.discordapp.com", "discord.com"), 404),
        ):
            async with session.get(address) as answer:
                assert answer.status == status


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
        ({"op": 2, "d": {"token": TOKEN, "intents": 1, "shard": [2, 2]}}, 4010),
        ({"op": 2, "d": {"token": TOKEN, "intents": 1 << 30}}, 4013),
        ({"op": 6, "d": {"token": "wrong", "session_id": "s", "seq": 1}}, 4004),
        ({"d": {}}, 4002),
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
    async with (
        aiohttp.ClientSession(connector=fake.connector()) as session,
        session.ws_connect(GATEWAY) as socket,
    ):
        await socket.receive_json()
        await socket.send_json(identify)
        await socket.receive_json()
        await socket.send_json({"op": 99})
        assert (await socket.receive()).data == 4001
