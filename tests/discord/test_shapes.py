"""Messages of every shape that Discord sends: what they say to the bot, and that none of them breaks it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dspy_session.conversation.key import ConversationKey
from dspy_session_chat.inbound import Inbound
from dspy_session_discord.destination import Destination
from dspy_session_discord.inbound.deeds import edit_of
from dspy_session_discord.inbound.translate import Ignored, translate
from tests.discord.conftest import Place
from tests.discord.reader import Payload, Reader
from tests.loopback.discord import Channel, ChannelType, FakeDiscord, Message

STICKER = {"id": "749054660769218631", "name": "Wave", "format_type": 3}
POLL: Payload = {
    "question": {"text": "Lunch?"},
    "answers": [{"answer_id": 1, "poll_media": {"text": "Yes"}}, {"answer_id": 2, "poll_media": {"text": "No"}}],
    "expiry": "2026-02-01T00:00:00+00:00",
    "allow_multiselect": False,
    "layout_type": 1,
}
BARE_POLL: Payload = {**POLL, "question": {}, "answers": [{"answer_id": 1, "poll_media": {}}]}
FILE: Payload = {
    "id": "7",
    "filename": "bell.png",
    "size": 2048,
    "url": "https://cdn.discordapp.com/attachments/1/7/bell.png",
    "proxy_url": "https://media.discordapp.net/attachments/1/7/bell.png",
    "content_type": "image/png",
}
EMBED: Payload = {
    "type": "rich",
    "title": "Build 12 failed",
    "description": "two tests",
    "author": {"name": "CI"},
    "fields": [{"name": "branch", "value": "main", "inline": True}],
    "footer": {"text": "a minute ago"},
}
LINK: Payload = {"type": "link", "title": "A title", "description": "of a page"}
BUTTONS: Payload = {"type": 1, "components": [{"type": 2, "style": 1, "label": "Go", "custom_id": "go"}]}
LAID_OUT: Payload = {
    "type": 17,
    "id": 1,
    "accent_color": None,
    "spoiler": False,
    "components": [
        {"type": 10, "id": 2, "content": "**Build 13**"},
        {
            "type": 9,
            "id": 3,
            "components": [{"type": 10, "id": 4, "content": "failed"}],
            "accessory": {"type": 2, "id": 5, "style": 5, "label": "See", "url": "https://example.com"},
        },
        {"type": 14, "id": 6, "divider": True, "spacing": 1},
        BUTTONS | {"id": 7},
    ],
}


def forwarded(**changes: Any) -> Payload:
    snapshot: Payload = {
        "type": 0,
        "content": "said\nelsewhere",
        "embeds": [],
        "attachments": [],
        "timestamp": "2026-01-01T00:00:00+00:00",
        "edited_timestamp": None,
        "flags": 0,
        "mentions": [],
        "mention_roles": [],
        "components": [],
    }
    reference = {"type": 1, "message_id": "1", "channel_id": "2"}
    return {"message_reference": reference, "message_snapshots": [{"message": snapshot | changes}]}


async def test_what_was_forwarded_is_quoted_and_is_no_reply(reader: Reader, fake: FakeDiscord, place: Place) -> None:
    dm = fake.dm(place.ada)
    words = await reader.inbound(dm, place.ada, "", **forwarded(attachments=[FILE]))
    both = await reader.inbound(dm, place.ada, "look", **forwarded())
    card = await reader.inbound(dm, place.ada, "", **forwarded(content="", embeds=[EMBED]))
    bare = await reader.inbound(dm, place.ada, "", **forwarded(content="", attachments=[FILE]))

    assert words.text == "> Forwarded message:\n> said\n> elsewhere"
    assert [file.name for file in (*words.attachments, *bare.attachments)] == ["bell.png"] * 2
    assert both.text == "look\n\n> Forwarded message:\n> said\n> elsewhere"
    assert card.text.startswith("> Forwarded message:\n> CI\n> Build 12 failed")
    assert (bare.text, words.replies_to) == ("", "")


async def test_what_a_bot_has_laid_out_counts_as_its_words(reader: Reader, fake: FakeDiscord, place: Place) -> None:
    alerts = fake.person("Alerts", bot=True)
    embed = await reader.inbound(place.general, alerts, "", embeds=[EMBED, LINK])
    hook = await reader.inbound(place.general, place.ada, "Look:", embeds=[EMBED], webhook_id="1")
    laid_out = await reader.inbound(place.general, alerts, "", components=[LAID_OUT], flags=1 << 15)

    assert embed.text == "CI\nBuild 12 failed\ntwo tests\nbranch: main\na minute ago"
    assert hook.text == f"Look:\n\n{embed.text}"
    assert laid_out.text == "**Build 13**\n\nfailed"
    assert await reader.translated(place.general, place.ada, "", embeds=[EMBED, LINK]) is Ignored.EMPTY


async def test_a_poll_is_read_and_a_sticker_says_nothing(reader: Reader, fake: FakeDiscord, place: Place) -> None:
    dm = fake.dm(place.ada)
    poll = await reader.inbound(dm, place.ada, "", poll=POLL)

    assert poll.text == "Poll: Lunch?\n- Yes\n- No"
    assert await reader.translated(dm, place.ada, "", sticker_items=[STICKER]) is Ignored.EMPTY


async def test_who_asks_about_a_message_by_replying_to_it_brings_it_along(
    reader: Reader, fake: FakeDiscord, place: Place
) -> None:
    bobs = await fake.say(place.general, place.bob, f"is that {place.ada.mention}'s?", files={"bell.png": b"x"})
    ours = await fake.say(place.general, fake.bot, "I said something")
    hi = f"{fake.bot.mention} what is it?"

    def replying(to: Message, text: str = hi, channel: Channel = place.general, **changes: Any) -> Payload:
        message = Message(fake.snowflakes.next(), channel, place.ada, text, type=19, reply_to=to)
        return fake.seen(message) | changes

    async def read(payload: Payload) -> Inbound:
        inbound = translate(await reader.read(payload), fake.bot.id)
        assert isinstance(inbound, Inbound)
        return inbound

    about = await read(replying(bobs))
    assert about.text == "> Bob wrote:\n> is that @Ada's?\n\nwhat is it?"
    assert ([file.name for file in about.attachments], about.replies_to) == (["bell.png"], str(bobs.id))
    assert Destination.from_dict(about.reply_to).thread_name == "what is it?"
    for payload in (
        replying(ours),
        replying(bobs, referenced_message=None),
        replying(bobs, channel=fake.dm(place.ada)),
    ):
        alone = await read(payload)
        assert (alone.text, alone.attachments) == ("what is it?", ())
    assert (await read(replying(bobs, f"{fake.bot.mention} /reset"))).text == "/reset"
    assert (await read(replying(bobs, "I see"))).text == "I see"  # not said to the bot


@pytest.mark.parametrize("kind", [ChannelType.FORUM, ChannelType.MEDIA])
async def test_a_post_in_a_forum_begins_with_its_title(
    reader: Reader, fake: FakeDiscord, place: Place, kind: ChannelType
) -> None:
    forum = fake.channel(place.guild, "questions", kind)
    await fake.announce_channel("CHANNEL_CREATE", forum)
    post = await fake.post(forum, place.ada, "My bell", f"{fake.bot.mention} it does not ring")
    first = await reader.inbound(post, place.ada, f"{fake.bot.mention} it does not ring", id=str(post.id))
    second = await reader.inbound(post, place.bob, f"{fake.bot.mention} mine neither")

    assert (first.text, second.text) == ("My bell\n\nit does not ring", "mine neither")
    assert first.key == second.key == ConversationKey("discord", str(place.guild.id), str(forum.id), str(post.id))
    assert (first.channel_name, first.addressed) == ("questions", "mention")
    assert Destination.from_dict(first.reply_to) == Destination(post.id)


async def test_a_thread_without_a_name_of_its_own_is_named_after_what_there_is(
    reader: Reader, fake: FakeDiscord, place: Place
) -> None:
    mention = fake.bot.mention
    picture = await reader.inbound(place.general, place.ada, mention, attachments=[FILE])
    call = await reader.inbound(place.general, place.ada, mention)

    for inbound, name in ((picture, "bell.png"), (call, "Ada")):
        assert Destination.from_dict(inbound.reply_to) == Destination(place.general.id, int(inbound.event_id), name)


GONE: Payload = {"message_reference": {"type": 0, "message_id": "1", "channel_id": "2"}, "referenced_message": None}
PARTIAL_MEMBER: Payload = {"roles": ["1"], "joined_at": None, "deaf": False, "mute": False, "flags": 0}
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
        "poll": st.sampled_from([POLL, BARE_POLL]),
        "message_snapshots": st.sampled_from([forwarded()["message_snapshots"], []]),
        "embeds": st.lists(st.sampled_from([EMBED, LINK, {}, {"type": "rich"}, {"type": "rich", "fields": []}])),
        "components": st.lists(st.sampled_from([BUTTONS, LAID_OUT, {"type": 99}])),
        "attachments": st.lists(st.sampled_from([FILE, {**FILE, "id": "8", "filename": ""}])),
        "member": st.sampled_from([PARTIAL_MEMBER, PARTIAL_MEMBER | {"nick": "Countess"}]),
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
OPTIONAL = ("member", "tts", "flags", "pinned", "reactions", "nonce")
"""Fields that Discord's documents call optional, or that it was seen to leave out."""


@pytest.fixture
async def orphan(reader: Reader, fake: FakeDiscord, place: Place) -> Channel:
    """A thread that hangs on a channel which the client does not know."""
    parent = Channel(1, ChannelType.TEXT)
    thread = Channel(2, ChannelType.PUBLIC_THREAD, "orphan", place.guild, parent=parent, owner=place.ada)
    await fake.announce_thread("THREAD_CREATE", thread)
    return thread


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(extras=EXTRAS, data=st.data())
async def test_no_message_that_discord_may_send_or_change_breaks_the_translation(
    reader: Reader, fake: FakeDiscord, place: Place, orphan: Channel, extras: Payload, data: st.DataObject
) -> None:
    unknown = Channel(3, ChannelType.TEXT, "not seen yet", place.guild)
    away = Channel(4, ChannelType.TEXT, "of a server that is not there", replace(place.guild, id=5))
    channel = data.draw(st.sampled_from([place.general, fake.dm(place.ada), orphan, unknown, away]))
    author = data.draw(st.sampled_from([place.ada, place.bob, fake.bot, fake.owner]))
    payload = reader.payload(channel, author, "hi", **extras)
    mentioned = data.draw(st.lists(st.sampled_from([fake.bot, place.bob]), unique=True))
    payload["mentions"] = [fake.seen(Message(1, channel, one, ""))["author"] for one in mentioned]
    if data.draw(st.booleans()):
        payload |= GONE
    for name in data.draw(st.lists(st.sampled_from(OPTIONAL), unique=True)):
        payload.pop(name, None)
    if data.draw(st.booleans()):
        payload["author"] = payload["author"] | {"bot": True}

    translation = translate(await reader.read(payload), fake.bot.id)
    changed = payload | {"content": f"{payload['content']} and more"}
    edit = edit_of(await reader.read_edit(changed), fake.bot.id)

    written = author is not fake.bot and payload["type"] in (0, 19)
    assert (edit is not None) == (written and payload["edited_timestamp"] is not None)
    if isinstance(translation, Inbound):
        assert written
        assert translation.author.is_bot == (payload["author"]["bot"] or "webhook_id" in payload)
        assert translation.event_id == payload["id"]
        assert translation.text == translation.text.strip()
        meant = "mention" if fake.bot in mentioned else "ambient"
        assert translation.addressed == ("direct" if channel.guild is None else meant)
        assert Destination.from_dict(translation.reply_to).channel == channel.id
        assert Inbound.from_json(translation.to_json()) == translation
    elif written:
        assert translation is Ignored.EMPTY
        assert channel.guild is None or fake.bot not in mentioned
