"""What the bot writes: split, harmless, once, and a clear line when Discord does not take it."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace

import pytest

from dspy_session.errors import PlatformError
from dspy_session_chat.growing import CanType
from dspy_session_chat.platform import Platform
from dspy_session_discord import Discord
from dspy_session_discord.destination import Destination
from tests.chat.places import saying
from tests.discord.conftest import Place
from tests.discord.talk import Keep, own, running
from tests.loopback.discord import SUPPRESS_EMBEDS, ChannelType, FakeDiscord

MESSAGES = "/channels/*/messages"
THREADS = "/channels/*/messages/*/threads"


def test_discord_is_a_platform_that_can_type() -> None:
    platform: Platform = Discord(token="unused")

    assert platform.name == "discord"
    assert isinstance(platform, CanType)


async def test_a_long_answer_comes_in_messages_that_discord_takes(fake: FakeDiscord, place: Place) -> None:
    keep, platform = Keep(), own(fake)
    place.general.denied.add("create_public_threads")
    code = "\n".join(f"print({number})" for number in range(400))
    async with running(platform, keep, fake):
        asked = await fake.say(place.general, place.ada, f"{fake.bot.mention} write")
        posted = await platform.post(saying(await keep.next(), f"Here:\n\n```python\n{code}\n```"))

    assert len(fake.posts) > 2
    assert all(len(post.content) <= 2000 and post.content.count("```") == 2 for post in fake.posts)
    assert posted.message_ids == tuple(str(post.id) for post in fake.posts)
    assert [post.reply_to for post in fake.posts] == [asked] + [None] * (len(fake.posts) - 1)


async def test_nothing_to_say_is_no_message(fake: FakeDiscord, place: Place) -> None:
    keep, platform = Keep(), own(fake)
    async with running(platform, keep, fake):
        await fake.say(fake.dm(place.ada), place.ada, "hi")
        posted = await platform.post(saying(await keep.next(), " \n "))

    assert posted.message_ids == ()
    assert fake.posts == []


async def test_what_a_model_writes_notifies_nobody_and_unfolds_no_link(fake: FakeDiscord, place: Place) -> None:
    keep, platform = Keep(), own(fake)
    hostile = (
        f"@everyone @here {place.bob.mention} {place.guild.bot_role.mention} https://evil.example/?q=secret \ud83d"
    )
    place.general.denied.add("create_public_threads")
    async with running(platform, keep, fake):
        await fake.say(place.general, place.ada, f"{fake.bot.mention} hi")
        await platform.post(saying(await keep.next(), hostile))
        answer = await fake.next_post()

    assert answer.content.startswith("@everyone")
    assert answer.pings == []
    assert answer.flags & SUPPRESS_EMBEDS


async def test_an_answer_that_is_posted_again_is_one_message(fake: FakeDiscord, place: Place) -> None:
    keep, platform = Keep(), own(fake)
    async with running(platform, keep, fake):
        await fake.say(fake.dm(place.ada), place.ada, "hi")
        inbound = await keep.next()
        fake.cut("POST", MESSAGES, when="after")
        with pytest.raises(PlatformError, match="did not take the answer"):
            await platform.post(saying(inbound, "hello", turn_id="t1"))
        again = await platform.post(saying(inbound, "hello", turn_id="t1"))
        other = await platform.post(saying(inbound, "hello", turn_id="t2"))

    assert [str(post.id) for post in fake.posts] == [*again.message_ids, *other.message_ids]


async def test_where_an_answer_goes_survives_the_store(fake: FakeDiscord, place: Place) -> None:
    keep, platform = Keep(), own(fake)
    async with running(platform, keep, fake):
        asked = await fake.say(place.general, place.ada, f"{fake.bot.mention} hi")
        inbound = await keep.next()
    stored = replace(inbound, reply_to=json.loads(json.dumps(inbound.reply_to)))

    later = own(fake)
    async with running(later, keep, fake):
        await later.post(saying(stored, "after a restart"))
        answer = await fake.next_post()

    assert answer.channel.id == asked.id


async def test_an_answer_left_from_the_last_run_waits_for_the_log_in(fake: FakeDiscord, place: Place) -> None:
    keep, platform = Keep(), own(fake)
    async with running(platform, keep, fake):
        await fake.say(place.general, place.ada, f"{fake.bot.mention} hi")
        inbound = await keep.next()
    restarted = own(fake)
    run = asyncio.create_task(restarted.run(keep))
    await asyncio.sleep(0)  # the run has begun, and nothing else

    await restarted.post(saying(inbound, "sorry for the wait"))

    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    assert [post.content for post in fake.posts] == ["sorry for the wait"]


async def test_a_thread_that_is_archived_is_found_again_by_an_answer(fake: FakeDiscord, place: Place) -> None:
    keep, platform = Keep(), own(fake)
    async with running(platform, keep, fake):
        await fake.say(place.general, place.ada, f"{fake.bot.mention} hi")
        inbound = await keep.next()
        await platform.post(saying(inbound, "first"))
        thread = (await fake.next_post()).channel
        thread.archived = True
        await fake.announce_thread("THREAD_UPDATE", thread)
        await fake.say(fake.dm(place.ada), place.ada, "the update has arrived before this")
        await keep.next()
        await platform.post(saying(inbound, "second"))

    assert [post.channel for post in fake.posts] == [thread, thread]
    assert fake.requested("POST", "/threads") == 2


async def test_the_typing_indicator_shows_in_the_thread_that_the_answer_goes_to(
    fake: FakeDiscord, place: Place
) -> None:
    keep, platform = Keep(), own(fake)
    async with running(platform, keep, fake):
        asked = await fake.say(place.general, place.ada, f"{fake.bot.mention} hi")
        inbound = await keep.next()
        async with platform.typing(inbound):
            await fake.until(lambda: fake.typings)
        await platform.post(saying(inbound, "hello"))

    assert [channel.id for channel in fake.typings] == [asked.id]
    assert fake.posts[0].channel is fake.typings[0]
    assert fake.requested("POST", "/threads") == 1


async def test_a_typing_indicator_that_discord_does_not_take_harms_nobody(
    fake: FakeDiscord, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "dspy_session_discord")
    keep, platform = Keep(), own(fake)
    fake.refuse("POST", "/channels/*/typing", 403, {"message": "Missing Permissions", "code": 50013})
    async with running(platform, keep, fake):
        await fake.say(fake.dm(place.ada), place.ada, "hi")
        inbound = await keep.next()
        async with platform.typing(inbound):
            await fake.until(lambda: fake.requested("POST", "/typing"))
            await platform.post(saying(inbound, "hello"))

    assert [post.content for post in fake.posts] == ["hello"]
    assert "no typing indicator: the bot's role lacks a permission" in caplog.text


async def test_a_rate_limit_is_waited_out(fake: FakeDiscord, place: Place) -> None:
    keep, platform = Keep(), own(fake)
    fake.limit("POST", MESSAGES, retry_after=0.02, times=2)
    async with running(platform, keep, fake):
        await fake.say(fake.dm(place.ada), place.ada, "hi")
        await platform.post(saying(await keep.next(), "hello"))

    assert [post.content for post in fake.posts] == ["hello"]
    assert fake.requested("POST", "/messages") == 3


@pytest.mark.parametrize(
    ("status", "body", "line"),
    [
        (503, "<html>\n<h1>upstream</h1></html>" + "x" * 5000, "it answered 503 <html> <h1>upstream"),
        (
            403,
            {"message": "Missing Permissions", "code": 50013},
            "lacks a permission there: it needs View Channels, Send",
        ),
        (403, {"message": "Cannot send messages to this user", "code": 50007}, "takes no direct messages"),
        (404, {"message": "Unknown Channel", "code": 10003}, "the channel or thread is gone"),
        (400, {"message": "Something\nnew", "code": 99999}, "it answered 400 Something new"),
    ],
)
async def test_an_answer_that_is_refused_says_why_in_one_line(
    fake: FakeDiscord, place: Place, status: int, body: dict[str, object] | str, line: str
) -> None:
    keep, platform = Keep(), own(fake)
    fake.refuse("POST", MESSAGES, status, body)
    async with running(platform, keep, fake):
        await fake.say(fake.dm(place.ada), place.ada, "hi")
        with pytest.raises(PlatformError) as refused:
            await platform.post(saying(await keep.next(), "hello"))

    message = str(refused.value)
    assert line in message
    assert "\n" not in message
    assert len(message) < 400


@pytest.mark.parametrize("times", [1, 2])
async def test_a_thread_that_fails_to_open_is_no_reason_to_answer_elsewhere(
    fake: FakeDiscord, place: Place, times: int
) -> None:
    keep, platform = Keep(), own(fake)
    fake.refuse("POST", THREADS, 503, "down", times=times)
    async with running(platform, keep, fake):
        asked = await fake.say(place.general, place.ada, f"{fake.bot.mention} hi")
        inbound = await keep.next()
        for _ in range(times):
            with pytest.raises(PlatformError, match="503 down"):
                await platform.post(saying(inbound, "hello"))
        await platform.post(saying(inbound, "hello"))

    assert [post.channel.id for post in fake.posts] == [asked.id]


async def test_a_channel_that_has_become_another_kind_is_answered_in_place(fake: FakeDiscord, place: Place) -> None:
    keep, platform = Keep(), own(fake)
    lounge = fake.channel(place.guild, "lounge", ChannelType.VOICE)
    async with running(platform, keep, fake):
        asked = await fake.say(lounge, place.ada, f"{fake.bot.mention} hi")
        inbound = await keep.next()
        once_text = Destination(lounge.id, asked.id, "hi").as_dict()
        await platform.post(saying(replace(inbound, reply_to=once_text), "hello"))
        answer = await fake.next_post()

    assert (answer.channel, answer.reply_to) == (lounge, asked)


async def test_the_message_that_is_answered_may_be_gone(fake: FakeDiscord, place: Place) -> None:
    keep, platform = Keep(), own(fake)
    async with running(platform, keep, fake):
        asked = await fake.say(place.general, place.ada, f"{fake.bot.mention} hi")
        inbound = await keep.next()
        await fake.delete(asked)
        await platform.post(saying(inbound, "hello"))
        answer = await fake.next_post()

    assert (answer.channel, answer.reply_to) == (place.general, None)


async def test_an_answer_without_a_connection_is_refused(fake: FakeDiscord, place: Place) -> None:
    keep, platform = Keep(), own(fake)
    async with running(platform, keep, fake):
        await fake.say(fake.dm(place.ada), place.ada, "hi")
        inbound = await keep.next()

    with pytest.raises(PlatformError, match="not connected"):
        await platform.post(saying(inbound, "too late"))
