"""Messages in the shapes that Discord sends, read by the real client, and what they are to the bot."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import discord
import pytest

from dspy_session.conversation.key import ConversationKey
from dspy_session_chat.inbound import Inbound
from dspy_session_discord import conversation_key
from dspy_session_discord.destination import Destination
from dspy_session_discord.inbound.translate import Ignored
from tests.discord.conftest import Place
from tests.discord.reader import Payload, Reader
from tests.discord.talk import HURRY, INTENTS
from tests.loopback.discord import Channel, ChannelType, FakeDiscord, Message


async def test_what_an_inbound_holds(reader: Reader, fake: FakeDiscord, place: Place) -> None:
    image = {
        "id": "1",
        "filename": "cat.png",
        "size": 2048,
        "url": "https://cdn.discordapp.com/attachments/1/2/cat.png?ex=1&hm=2",
        "proxy_url": "https://media.discordapp.net/attachments/1/2/cat.png",
        "content_type": "image/png",
        "width": 10,
        "height": 10,
    }
    unnamed = {"id": "2", "filename": "notes", "size": 3, "url": "https://cdn.discordapp.com/2", "proxy_url": ""}

    inbound = await reader.translated(
        place.general, place.ada, f"{fake.bot.mention} look", attachments=[image, unnamed]
    )

    assert isinstance(inbound, Inbound)
    assert inbound.sent_at > datetime(2026, 1, 1, tzinfo=UTC)
    assert (inbound.author.id, inbound.author.name, inbound.author.is_bot) == (str(place.ada.id), "Ada", False)
    assert [(file.name, file.media_type, file.size) for file in inbound.attachments] == [
        ("cat.png", "image/png", 2048),
        ("notes", "", 3),
    ]
    assert inbound.attachments[0].url == image["url"]
    assert Destination.from_dict(inbound.reply_to) == Destination(place.general.id, int(inbound.event_id), "look")


async def test_the_name_is_the_one_that_people_see(reader: Reader, fake: FakeDiscord, place: Place) -> None:
    nick: Payload = {"nick": "Countess", "roles": [], "joined_at": None, "deaf": False, "mute": False, "flags": 0}

    inbound = await reader.translated(place.general, place.ada, fake.bot.mention, member=nick)

    assert isinstance(inbound, Inbound)
    assert inbound.author.name == "Countess"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("{bot} hi", "hi"),
        ("hi {bot}", "hi"),
        ("{bot}, what is up?", "what is up?"),
        ("hi {bot}, what is up?", "hi, what is up?"),
        ("hi\n{bot}\nwhat is up?", "hi\n\nwhat is up?"),
        ("{bot}{role} hi", "hi"),
        ("{bot} ask {bob} in {general}", "ask @Bob in #general"),
        ("{bot} tell {devs}", "tell @devs"),
        ("{bot} who is <@123456789012345678>?", "who is <@123456789012345678>?"),
        (" {bot} : now", "now"),
        (", {bot} now", ", now"),
        ("{bot} @everyone", "@everyone"),
    ],
)
async def test_the_text_is_what_was_said_to_the_bot(
    reader: Reader, fake: FakeDiscord, place: Place, written: str, read: str
) -> None:
    devs = fake.role(place.guild, "devs")
    await fake.announce_role(place.guild, devs)
    names = {
        "bot": fake.bot.mention,
        "role": place.guild.bot_role.mention,
        "bob": place.bob.mention,
        "general": place.general.mention,
        "devs": devs.mention,
    }

    inbound = await reader.translated(place.general, place.ada, written.format(**names))

    assert isinstance(inbound, Inbound)
    assert inbound.text == read


async def test_what_is_ignored_has_a_reason(reader: Reader, fake: FakeDiscord, place: Place) -> None:
    bot = fake.bot.mention
    for author, text, changes, reason in (
        (fake.bot, bot, {}, Ignored.OWN),
        (place.ada, bot, {"type": 6}, Ignored.SYSTEM),
        (place.ada, "", {}, Ignored.EMPTY),
    ):
        assert await reader.translated(place.general, author, text, **changes) is reason
    assert await reader.translated(fake.dm(place.ada), place.ada, "") is Ignored.EMPTY


async def test_who_writes_is_told_with_their_roles(reader: Reader, fake: FakeDiscord, place: Place) -> None:
    devs = fake.role(place.guild, "devs")
    await fake.announce_role(place.guild, devs)
    place.ada.roles.append(devs)
    rival = fake.person("Rival", bot=True)

    for author, changes, roles, is_bot in (
        (place.ada, {}, (str(devs.id),), False),
        (place.bob, {}, (), False),
        (rival, {}, (), True),
        (place.bob, {"webhook_id": "1"}, (), True),
    ):
        inbound = await reader.translated(place.general, author, "hi", **changes)
        assert isinstance(inbound, Inbound)
        assert (inbound.author.roles, inbound.author.is_bot) == (roles, is_bot)
        assert inbound.addressed == "ambient"


@pytest.mark.parametrize(
    ("text", "addressed", "others"),
    [
        ("hi", "thread", False),
        ("{bob} hi", "thread", True),
        ("{devs} hi", "thread", True),
        ("@here hi", "thread", True),
        ("{ada} is me", "thread", False),
        ("{bob} ask {bot}", "mention", False),
    ],
)
async def test_whom_a_message_mentions(
    reader: Reader, fake: FakeDiscord, place: Place, text: str, addressed: str, others: bool
) -> None:
    devs = fake.role(place.guild, "devs")
    await fake.announce_role(place.guild, devs)
    thread = await fake.open_thread(await fake.say(place.general, place.ada, "hi"), "hi", fake.bot)
    names = {"ada": place.ada.mention, "bob": place.bob.mention, "bot": fake.bot.mention, "devs": devs.mention}

    inbound = await reader.translated(thread, place.ada, text.format(**names))

    assert isinstance(inbound, Inbound)
    assert (inbound.addressed, inbound.mentions_others) == (addressed, others)
    elsewhere = await reader.translated(place.general, place.ada, text.format(**names))
    assert isinstance(elsewhere, Inbound)
    assert (elsewhere.addressed == "ambient", elsewhere.mentions_others) == (addressed == "thread", others)


@pytest.mark.parametrize(
    ("changes", "replies_to"),
    [
        ({}, ""),
        ({"type": 19, "message_reference": {"type": 0, "message_id": "7", "channel_id": "2"}}, "7"),
        ({"type": 19, "message_reference": {"channel_id": "2"}}, ""),
        ({"message_reference": {"type": 1, "message_id": "7", "channel_id": "2"}}, ""),
    ],
    ids=["none", "a reply", "a reply to nothing", "forwarded"],
)
async def test_what_a_message_replies_to(reader: Reader, place: Place, changes: Payload, replies_to: str) -> None:
    inbound = await reader.translated(place.general, place.ada, "hi", **changes)

    assert isinstance(inbound, Inbound)
    assert inbound.replies_to == replies_to


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("what is **DSPy**?", "what is DSPy?"),
        ("first line\nsecond line", "first line second line"),
        ("", "Ada"),
        ("**", "Ada"),
        ("word " * 50, "word " * 19 + "word…"),
        ("😀" * 80, "😀" * 49 + "…"),
        ("My bell does not ring. " + "word " * 50, "My bell does not ring."),
        ("Hi! " + "word " * 50, "Hi! " + "word " * 18 + "word…"),
        ("```python\nprint(1)\n``` why does this fail?", "why does this fail?"),
        ("これは何ですか。" * 20, "これは何ですか。" * 12),
    ],
)
async def test_the_thread_is_named_after_the_message(
    reader: Reader, fake: FakeDiscord, place: Place, text: str, title: str
) -> None:
    inbound = await reader.translated(place.general, place.ada, f"{fake.bot.mention} {text}")

    assert isinstance(inbound, Inbound)
    assert Destination.from_dict(inbound.reply_to).thread_name == title


@pytest.mark.parametrize("kind", [ChannelType.VOICE, ChannelType.NEWS, ChannelType.TEXT])
async def test_keys_name_the_place(fake: FakeDiscord, place: Place, kind: ChannelType) -> None:
    channel = fake.channel(place.guild, "somewhere", kind)
    dm = fake.dm(place.ada)
    started = await fake.say(channel, place.ada, "hi")
    client = discord.Client(intents=INTENTS, connector=fake.connector(), **HURRY)
    async with client:
        connection = asyncio.create_task(client.start(fake.token))
        await fake.connected()
        reader = Reader(fake, client)

        async def key(where: Channel) -> ConversationKey:
            message = Message(fake.snowflakes.next(), where, place.ada, "hi")
            return conversation_key(await reader.read(fake.seen(message)))

        guild, parent = str(place.guild.id), str(channel.id)
        in_dm, in_channel = await key(dm), conversation_key(await reader.read(fake.seen(started)))
        unknown = Channel(fake.snowflakes.next(), ChannelType.TEXT, "not seen yet", place.guild)
        in_unknown = await key(unknown)
        thread = await fake.open_thread(started, "hi", fake.bot)
        in_thread = await key(thread)
    await connection

    assert in_dm == ConversationKey("discord", "", str(dm.id))
    assert in_thread == ConversationKey("discord", guild, parent, str(started.id))
    assert in_channel == (ConversationKey("discord", guild, parent) if kind is ChannelType.VOICE else in_thread)
    assert in_unknown == ConversationKey("discord", guild, str(unknown.id))
    assert all(ConversationKey.parse(str(one)) == one for one in (in_dm, in_channel, in_thread, in_unknown))
