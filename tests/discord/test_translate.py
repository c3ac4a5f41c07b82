"""Messages in the shapes that Discord sends, read by the real client, and what they are to the bot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import discord
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dspy_session.conversation.key import ConversationKey
from dspy_session_chat.inbound import Inbound
from dspy_session_discord import conversation_key
from dspy_session_discord.destination import Destination
from dspy_session_discord.translate import Ignored, translate
from tests.discord.conftest import Place
from tests.discord.talk import HURRY, INTENTS
from tests.loopback.discord import Channel, ChannelType, FakeDiscord, Message, User

Payload = dict[str, Any]


@dataclass
class Reader:
    """A real client that hands back each message as discord.py reads it."""

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

    async def translated(self, channel: Channel, author: User, text: str, **changes: Any) -> Inbound | Ignored:
        payload = self.fake.seen(Message(self.fake.snowflakes.next(), channel, author, text)) | changes
        return translate(await self.read(payload), self.fake.bot.id)


@pytest.fixture
async def reader(fake: FakeDiscord, place: Place) -> AsyncIterator[Reader]:
    client = discord.Client(intents=INTENTS, connector=fake.connector(), **HURRY)
    async with client:
        connection = asyncio.create_task(client.start(fake.token))
        await fake.connected()
        yield Reader(fake, client)
    await connection


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


STICKER = {"id": "749054660769218631", "name": "Wave", "format_type": 3}
POLL = {
    "question": {"text": "Lunch?"},
    "answers": [{"answer_id": 1, "poll_media": {"text": "Yes"}}],
    "expiry": "2026-02-01T00:00:00+00:00",
    "allow_multiselect": False,
    "layout_type": 1,
}
FORWARDED = {
    "message": {
        "type": 0,
        "content": "said elsewhere",
        "embeds": [],
        "attachments": [],
        "timestamp": "2026-01-01T00:00:00+00:00",
        "edited_timestamp": None,
        "flags": 0,
        "mentions": [],
        "mention_roles": [],
        "components": [],
    }
}
EMBED = {"type": "rich", "title": "A title", "description": "words", "fields": []}
BUTTONS = {"type": 1, "components": [{"type": 2, "style": 1, "label": "Go", "custom_id": "go"}]}
GONE = {"message_reference": {"type": 0, "message_id": "1", "channel_id": "2"}, "referenced_message": None}
EXTRAS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from([*range(13), 14, 15, *range(18, 33), 36, 37, 38, 39, 44, 46, 63, 999]),
        "content": st.text(max_size=80) | st.sampled_from(["<@1> <@&2> <#3> <:emoji:4>", "```", "\u0000", "@everyone"]),
        "flags": st.integers(0, 1 << 20),
        "tts": st.booleans(),
        "mention_everyone": st.booleans(),
        "edited_timestamp": st.sampled_from([None, "2026-01-01T00:00:00+00:00"]),
        "webhook_id": st.sampled_from(["123"]),
        "application_id": st.sampled_from(["123"]),
        "sticker_items": st.just([STICKER]),
        "poll": st.just(POLL),
        "message_snapshots": st.just([FORWARDED]),
        "embeds": st.just([EMBED]),
        "components": st.just([BUTTONS]),
        "nonce": st.sampled_from(["n", 1]),
        "position": st.integers(0, 9),
        "activity": st.just({"type": 1, "party_id": "p"}),
        "mention_roles": st.lists(st.sampled_from(["1", "2"]), unique=True),
        "call": st.just({"participants": [], "ended_timestamp": None}),
        "role_subscription_data": st.just(
            {
                "role_subscription_listing_id": "1",
                "tier_name": "t",
                "total_months_subscribed": 1,
                "is_renewal": False,
            }
        ),
        "new_field_of_next_year": st.just({"anything": [1, 2]}),
    },
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(extras=EXTRAS, data=st.data())
async def test_no_message_that_discord_may_send_breaks_the_translation(
    reader: Reader, fake: FakeDiscord, place: Place, extras: Payload, data: st.DataObject
) -> None:
    channel = data.draw(st.sampled_from([place.general, fake.dm(place.ada)]))
    author = data.draw(st.sampled_from([place.ada, place.bob, fake.bot, fake.owner]))
    payload = fake.seen(Message(fake.snowflakes.next(), channel, author, "hi")) | extras
    mentioned = data.draw(st.lists(st.sampled_from([fake.bot, place.bob]), unique=True))
    payload["mentions"] = [fake.seen(Message(1, channel, one, ""))["author"] for one in mentioned]
    if data.draw(st.booleans()):
        payload |= GONE
    if data.draw(st.booleans()):
        payload.pop("member", None)
    if data.draw(st.booleans()):
        payload["author"] = payload["author"] | {"bot": True}

    translation = translate(await reader.read(payload), fake.bot.id)

    written = author is not fake.bot and payload["type"] in (0, 19)
    if isinstance(translation, Inbound):
        assert written
        assert translation.author.is_bot == (payload["author"]["bot"] or "webhook_id" in payload)
        assert translation.event_id == payload["id"]
        assert translation.text == translation.text.strip()
        meant = "mention" if fake.bot in mentioned else "ambient"
        assert translation.addressed == ("direct" if channel.guild is None else meant)
        assert Destination.from_dict(translation.reply_to).channel == channel.id
    elif written:
        assert translation is Ignored.EMPTY
        assert channel.guild is None or fake.bot not in mentioned
