"""What was said before the bot came, threads that it opens, files that it fetches."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dspy_session.conversation.key import ConversationKey
from dspy_session.errors import PlatformError
from dspy_session_chat.files.downloads import Downloader
from dspy_session_chat.inbound import Attachment
from dspy_session_chat.platform import CanFetch, CanOpenThread, CanReadBack
from dspy_session_discord import Discord
from dspy_session_discord.destination import Destination
from dspy_session_discord.platform import FILE_HOSTS
from tests.chat.places import saying
from tests.discord.conftest import Place
from tests.discord.talk import HURRY, Keep, own, running
from tests.loopback.discord import ChannelType, FakeDiscord
from tests.loopback.discord.world import COMMAND_ANSWER


async def test_what_was_said_before_a_mention(fake: FakeDiscord, place: Place) -> None:
    keep, platform = Keep(), own(fake)
    assert isinstance(platform, CanReadBack)
    rival = fake.person("Rival", bot=True)
    for number in range(3):
        await fake.say(place.general, place.bob, f"old {number}")
    await fake.say(place.general, place.ada, f"where is {place.bob.mention}?")
    await fake.say(place.general, fake.bot, "I am here")
    await fake.say(place.general, rival, "so am I", type=COMMAND_ANSWER)
    await fake.say(place.general, place.ada, "", type=6)  # pinned something
    await fake.say(place.general, place.ada, "")  # a sticker
    async with running(platform, keep, fake):
        await fake.say(place.general, place.ada, f"{fake.bot.mention} hi")
        inbound = await keep.next()
        await fake.say(place.general, place.ada, "afterwards")
        said = await platform.said_before(inbound, 4)
        assert await platform.said_before(inbound, 0) == []

    assert [(one.author.name, one.text, one.ours, one.author.is_bot) for one in said] == [
        ("Bob", "old 2", False, False),
        ("Ada", "where is @Bob?", False, False),
        ("helper", "I am here", True, True),
        ("rival", "so am I", False, True),
    ]


async def test_a_thread_begins_with_the_message_that_it_hangs_on(fake: FakeDiscord, place: Place) -> None:
    keep, platform = Keep(), own(fake)
    started = await fake.say(place.general, place.ada, "shall we?")
    thread = await fake.open_thread(started, "plans", place.ada)
    await fake.say(thread, place.bob, "yes")
    async with running(platform, keep, fake):
        await fake.say(thread, place.ada, f"{fake.bot.mention} join us")
        said = await platform.said_before(await keep.next(), 100)

    assert [(one.author.name, one.text) for one in said] == [("Ada", "shall we?"), ("Bob", "yes")]


async def test_what_was_said_before_something_is_done(fake: FakeDiscord, place: Place) -> None:
    keep, platform = Keep(), own(fake)
    dm = fake.dm(place.ada)
    await fake.say(dm, place.ada, "hi")
    answer = await fake.say(dm, fake.bot, "hello")
    async with running(platform, keep, fake):
        await fake.react(answer, place.ada, "👍")
        said = await platform.said_before(await keep.action(), 100)

    assert [one.text for one in said] == ["hi", "hello"]


async def test_history_that_cannot_be_had_is_none(
    fake: FakeDiscord, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    keep, platform = Keep(), own(fake)
    fake.refuse("GET", "/channels/*/messages", 403, {"message": "Missing Access", "code": 50001})
    async with running(platform, keep, fake):
        await fake.say(fake.dm(place.ada), place.ada, "hi")
        inbound = await keep.next()
        assert await platform.said_before(inbound, 5) == []

    assert "what was said before is not known: the bot cannot see the channel" in caplog.text


async def test_a_thread_is_opened_beside_the_conversation(fake: FakeDiscord, place: Place) -> None:
    keep, platform = Keep(), own(fake)
    assert isinstance(platform, CanOpenThread)
    async with running(platform, keep, fake):
        await fake.say(place.general, place.ada, f"{fake.bot.mention} hi")
        inbound = await keep.next()
        beside = await platform.open_thread(inbound, f"A fork for {place.ada.mention}")
        await platform.post(saying(replace(inbound, reply_to=beside.reply_to, key=beside.key), "on we go"))
        await fake.say(fake.posts[-1].channel, place.ada, "gladly")
        event = await keep.next()
        again = await platform.open_thread(event, "\n")

    starter, words, second = fake.posts
    thread = words.channel
    assert (starter.channel, starter.pings) == (place.general, [])
    assert (thread.id, thread.name, thread.parent) == (starter.id, starter.content, place.general)
    assert beside.key == ConversationKey("discord", str(place.guild.id), str(place.general.id), str(thread.id))
    assert (event.key, event.addressed) == (beside.key, "thread")
    assert (beside.link, Destination.from_dict(beside.reply_to)) == (f"<#{thread.id}>", Destination(thread.id))
    assert (second.channel, again.key.thread) == (place.general, str(second.id))
    assert second.content == "A new thread"


async def test_a_thread_beside_one_of_a_forum_is_a_post_there(fake: FakeDiscord, place: Place) -> None:
    keep, platform = Keep(), own(fake)
    forum = fake.channel(place.guild, "questions", ChannelType.FORUM)
    forum.tags, forum.needs_tag = {7: "bells", 8: "pumps"}, True
    async with running(platform, keep, fake):
        post = await fake.post(forum, place.ada, "how?", "how?")
        post.tags = {8: "pumps"}
        await fake.announce_thread("THREAD_UPDATE", post)
        await keep.next()
        await fake.say(post, place.ada, f"{fake.bot.mention} how?")
        opened = await platform.open_thread(await keep.next(), "Another way")

    thread = fake.channels[int(opened.key.thread or "")]
    assert (thread.parent, thread.name, thread.tags) == (forum, "Another way", {8: "pumps"})
    assert [message.content for message in thread.visible] == ["Another way"]


@pytest.mark.parametrize("where", ["dm", "voice", "forbidden"])
async def test_where_there_are_no_threads_that_is_said(fake: FakeDiscord, place: Place, where: str) -> None:
    keep, platform = Keep(), own(fake)
    voice = fake.channel(place.guild, "lounge", ChannelType.VOICE)
    channel = {"dm": fake.dm(place.ada), "voice": voice, "forbidden": place.general}[where]
    place.general.denied.add("create_public_threads")
    async with running(platform, keep, fake):
        await fake.say(channel, place.ada, f"{fake.bot.mention} hi")
        with pytest.raises(
            PlatformError, match="lacks a permission" if where == "forbidden" else "has no threads here"
        ):
            await platform.open_thread(await keep.next(), "a fork")


async def test_a_file_is_fetched_from_discord_without_the_token(fake: FakeDiscord, place: Place) -> None:
    downloader = Downloader(FILE_HOSTS, connect=fake.connector)
    options = {"connector": fake.connector(), **HURRY}
    keep, platform = Keep(), Discord(token=fake.token, client_options=options, downloader=downloader)
    assert isinstance(platform, CanFetch)
    async with running(platform, keep, fake):
        await fake.say(fake.dm(place.ada), place.ada, "read this", files={"notes.txt": b"x" * 300_000, "a.png": b"png"})
        notes, picture = (await keep.next()).attachments
        async with platform.fetch(notes) as pieces:
            data = b"".join([piece async for piece in pieces])
        by_proxy = replace(picture, url=picture.url.replace("cdn.discordapp.com", "media.discordapp.net"))
        async with platform.fetch(by_proxy) as pieces:
            assert b"".join([piece async for piece in pieces]) == b"png"
        with pytest.raises(PlatformError):
            async with platform.fetch(replace(notes, url=f"{notes.url.partition('?')[0]}.gone")):
                pass

    assert (notes.name, notes.media_type, notes.size) == ("notes.txt", "text/plain", 300_000)
    assert data == b"x" * 300_000
    assert set(fake.cdn.authorizations) == {None}


@pytest.mark.parametrize(
    "url", ["https://example.com/a", "https://discord.com/api/v10/users/@me", "http://cdn.discordapp.com/a", ""]
)
async def test_a_file_that_lies_elsewhere_is_not_fetched(url: str) -> None:
    with pytest.raises(PlatformError):
        async with Discord(token="unused").fetch(Attachment("a", url=url)):
            pass
