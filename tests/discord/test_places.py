"""Where a mention is answered, what threads are called, and the presence that says what the bot is."""

from __future__ import annotations

from typing import Any

import pytest

from dspy_session.errors import ConfigurationError
from dspy_session_chat import Bot, Manners
from dspy_session_discord import Discord
from dspy_session_discord.outbound.threads import Threads
from tests.chat.agents import Parrot, held
from tests.chat.places import saying
from tests.discord.conftest import Place
from tests.discord.talk import HURRY, Keep, own, running
from tests.loopback.discord import ChannelType, FakeDiscord


def with_options(fake: FakeDiscord, **options: Any) -> Discord:
    return Discord(token=fake.token, client_options={"connector": fake.connector(), **HURRY}, **options)


@pytest.mark.parametrize("by", ["name", "id"])
async def test_a_mention_is_replied_to_in_place_where_that_is_wished(fake: FakeDiscord, place: Place, by: str) -> None:
    support = fake.channel(place.guild, "support")
    named = "support" if by == "name" else str(support.id)
    keep, platform = Keep(), with_options(fake, threads={named: "open", "*": "reply"})
    async with running(platform, keep, fake):
        asked = await fake.say(place.general, place.ada, f"{fake.bot.mention} hi")
        inbound = await keep.next()
        async with platform.typing(inbound):
            await fake.until(lambda: fake.typings)
        await platform.post(saying(inbound, "hello"))
        await fake.say(support, place.ada, f"{fake.bot.mention} hi")
        await platform.post(saying(await keep.next(), "hello"))

    reply, answer = fake.posts
    assert (reply.channel, reply.reply_to, reply.pings) == (place.general, asked, [])
    assert fake.typings[0] is place.general
    assert (answer.channel.is_thread, answer.channel.parent) == (True, support)


@pytest.mark.parametrize("wishes", ["closed", None, {"support": "never"}, {1: "open"}, ["reply"]])
def test_a_wish_for_threads_that_there_is_none_of_is_told(wishes: Any) -> None:
    with pytest.raises(ConfigurationError, match='threads must be "open", "reply"'):
        Threads.of(wishes)


async def test_a_thread_is_named_once_there_is_something_to_name_it_after(fake: FakeDiscord, place: Place) -> None:
    keep, platform = Keep(), own(fake)
    async with running(platform, keep, fake):
        await fake.say(place.general, place.ada, fake.bot.mention)
        await platform.post(saying(await keep.next(), "Write to me."))  # words of the bot's own
        thread = (await fake.next_post()).channel
        names = [thread.name]
        for number in range(2):
            await fake.say(thread, place.ada, f"Do you sell **bells**? {number}")
            await platform.post(saying(await keep.next(), "Yes!", turn_id=f"turn-{number}"))
            await fake.until(lambda: thread.name != "Ada")
            names.append(thread.name)
        thread.name = "Ada"  # as somebody wants it, and Discord does not let the bot change that
        await fake.announce_thread("THREAD_UPDATE", thread)
        fake.refuse("PATCH", f"/channels/{thread.id}", 403, {"message": "Missing Permissions", "code": 50013})
        await fake.say(thread, place.ada, "So?")
        await platform.post(saying(await keep.next(), "Yes!", turn_id="turn-2"))

    assert names == ["Ada", "Do you sell bells? 0", "Do you sell bells? 0"]
    assert (thread.name, fake.posts[-1].content) == ("Ada", "Yes!")


async def test_what_others_have_named_keeps_its_name(fake: FakeDiscord, place: Place) -> None:
    keep, platform = Keep(), own(fake)
    async with running(platform, keep, fake):
        thread = await fake.open_thread(await fake.say(place.general, place.ada, "hi"), "Ada", place.ada)
        await fake.say(thread, place.ada, f"{fake.bot.mention} Do you sell bells?")
        await platform.post(saying(await keep.next(), "Yes!", turn_id="turn-1"))

    assert (thread.name, fake.requested("PATCH", f"/channels/{thread.id}")) == ("Ada", 0)


@pytest.mark.parametrize("kind", [ChannelType.FORUM, ChannelType.MEDIA])
async def test_a_post_in_a_forum_that_the_bot_looks_after_is_answered_and_talk_goes_on_there(
    fake: FakeDiscord, place: Place, kind: ChannelType
) -> None:
    forum = fake.channel(place.guild, "questions", kind)
    agent = Parrot()
    async with Bot(
        held(agent), platforms=[own(fake)], store="memory://", manners=Manners(channels={"questions": "always"})
    ):
        await fake.connected()
        thread = await fake.post(forum, place.ada, "My bell", "It does not ring.")
        first = await fake.next_post()
        await fake.say(thread, place.bob, "Mine neither.")
        second = await fake.next_post()
        await fake.say(place.general, place.bob, "just talking")

    assert {first.channel, second.channel} == {thread}
    assert (first.content, second.content) == (
        "My bell\n\nIt does not ring.! (0 before, call 1)",
        "Mine neither.! (1 before, call 2)",
    )


@pytest.mark.parametrize("kind", [ChannelType.NEWS, ChannelType.STAGE])
async def test_announcements_have_threads_and_a_stage_has_none(
    fake: FakeDiscord, place: Place, kind: ChannelType
) -> None:
    channel = fake.channel(place.guild, "news", kind)
    keep, platform = Keep(), own(fake)
    async with running(platform, keep, fake):
        asked = await fake.say(channel, place.ada, f"{fake.bot.mention} hi")
        await platform.post(saying(await keep.next(), "hello"))

    (answer,) = fake.posts
    if kind is ChannelType.NEWS:
        assert (answer.channel.type, answer.channel.parent) == (ChannelType.NEWS_THREAD, channel)
    else:
        assert (answer.channel, answer.reply_to) == (channel, asked)


@pytest.mark.parametrize(
    ("activity", "shown"), [(..., "Ask me · /help"), ("Bells, whistles", "Bells, whistles"), (None, None)]
)
async def test_the_presence_says_what_the_bot_is(
    fake: FakeDiscord, place: Place, activity: Any, shown: str | None
) -> None:
    platform = with_options(fake) if activity is ... else with_options(fake, activity=activity)
    async with running(platform, Keep(), fake):
        (session,) = fake.gateway.live

    presence = session.presence
    assert (None if presence is None else (presence["game"]["type"], presence["game"]["state"])) == (
        None if shown is None else (4, shown)  # a status in words
    )


@pytest.mark.parametrize("activity", ["", " ", "x" * 129, 5])
def test_an_activity_that_discord_would_not_take_is_told(activity: Any) -> None:
    with pytest.raises(ConfigurationError, match="activity must be a text of 1 to 128 characters"):
        Discord(token="t", activity=activity)
