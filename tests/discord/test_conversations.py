"""Where the bot answers, and what it leaves alone."""

from __future__ import annotations

import logging

import pytest

from dspy_session.conversation.key import ConversationKey
from dspy_session_chat.inbound import Inbound
from tests.discord.conftest import Place
from tests.discord.talk import Keep, echoing, own, running
from tests.loopback.discord import ChannelType, FakeDiscord


async def test_a_direct_message_is_answered(fake: FakeDiscord, place: Place) -> None:
    dm = fake.dm(place.ada)
    async with echoing(fake) as echo:
        asked = await fake.say(dm, place.ada, "hello")
        answer = await fake.next_post()

    assert (answer.channel, answer.content, answer.reply_to) == (dm, "echo: hello", None)
    (inbound,) = echo.received
    assert inbound.key == ConversationKey("discord", "", str(dm.id))
    assert (inbound.addressed, inbound.event_id, inbound.channel_name) == ("direct", str(asked.id), "")
    assert (inbound.author.id, inbound.author.name) == (str(place.ada.id), "Ada")


async def test_a_mention_opens_a_thread_and_talk_goes_on_there_without_one(fake: FakeDiscord, place: Place) -> None:
    async with echoing(fake) as echo:
        asked = await fake.say(place.general, place.ada, f"{fake.bot.mention} what is **DSPy**?")
        first = await fake.next_post()
        await fake.say(first.channel, place.ada, "and who made it?")
        second = await fake.next_post()

    thread = first.channel
    assert thread.is_thread
    assert (thread.id, thread.parent, thread.name) == (asked.id, place.general, "what is DSPy?")
    assert (first.content, second.content) == ("echo: what is **DSPy**?", "echo: and who made it?")
    assert second.channel is thread
    assert [inbound.addressed for inbound in echo.received] == ["mention", "thread"]
    assert {inbound.key for inbound in echo.received} == {
        ConversationKey("discord", str(place.guild.id), str(place.general.id), str(thread.id))
    }
    assert {inbound.channel_name for inbound in echo.received} == {"general"}


async def test_in_a_thread_a_message_that_mentions_somebody_else_is_theirs(fake: FakeDiscord, place: Place) -> None:
    devs = fake.role(place.guild, "devs")
    async with echoing(fake) as echo:
        asked = await fake.say(place.general, place.ada, f"{fake.bot.mention} hi")
        thread = (await fake.next_post()).channel
        bobs = await fake.say(thread, place.bob, "I can help")
        await fake.next_post()
        await fake.say(thread, place.ada, f"{place.bob.mention} what do you think?")
        await fake.say(thread, place.ada, f"{devs.mention} and you?")
        await fake.say(thread, place.ada, "@everyone look")
        await fake.say(thread, place.ada, "I agree", reply_to=bobs)
        last = await fake.say(thread, place.ada, f"{place.bob.mention} ask {fake.bot.mention}")
        await fake.next_post()

    assert [inbound.event_id for inbound in echo.received] == [str(asked.id), str(bobs.id), str(last.id)]
    assert echo.received[-1].text == "@Bob ask"


async def test_the_bot_joins_a_thread_that_it_is_mentioned_in(fake: FakeDiscord, place: Place) -> None:
    started = await fake.say(place.general, place.ada, "shall we?")
    async with echoing(fake) as echo:
        thread = await fake.open_thread(started, "plans", place.ada)
        await fake.say(thread, place.ada, "the bot is not in here")
        await fake.say(thread, place.ada, f"{fake.bot.mention} come in")
        await fake.next_post()
        await fake.until(lambda: fake.bot.id in thread.members)
        await fake.say(thread, place.ada, "good to have you")
        answer = await fake.next_post()

    assert (answer.channel, answer.content) == (thread, "echo: good to have you")
    assert [inbound.addressed for inbound in echo.received] == ["mention", "thread"]
    assert len({inbound.key for inbound in echo.received}) == 1


async def test_in_a_thread_that_the_bot_may_not_join_it_is_heard_when_it_is_mentioned(
    fake: FakeDiscord, place: Place
) -> None:
    started = await fake.say(place.general, place.ada, "shall we?")
    fake.refuse("PUT", "/channels/*/thread-members/@me", 403, {"message": "Missing Access", "code": 50001}, times=2)
    async with running(own(fake), keep := Keep(), fake):
        thread = await fake.open_thread(started, "plans", place.ada)
        for number in range(2):
            await fake.say(thread, place.ada, f"{fake.bot.mention} {number}")
            assert (await keep.next()).text == str(number)
            await fake.until(lambda: fake.requested("PUT", "/thread-members/@me") > number)  # noqa: B023 - awaited here


async def test_a_thread_of_before_the_start_is_known(fake: FakeDiscord, place: Place) -> None:
    started = await fake.say(place.general, place.ada, "hi")
    thread = await fake.open_thread(started, "of yesterday", fake.bot)
    async with echoing(fake) as echo:
        await fake.say(thread, place.ada, "still here?")
        await fake.next_post()

    assert echo.received[0].addressed == "thread"


async def test_a_thread_that_was_archived_is_still_the_bots(fake: FakeDiscord, place: Place) -> None:
    async with echoing(fake) as echo:
        await fake.say(place.general, place.ada, f"{fake.bot.mention} hi")
        thread = (await fake.next_post()).channel
        for archived in (True, False):
            thread.archived = archived
            await fake.announce_thread("THREAD_UPDATE", thread)
        await fake.say(thread, place.ada, "where were we?")
        await fake.next_post()

    assert [inbound.addressed for inbound in echo.received] == ["mention", "thread"]


async def test_who_takes_the_bot_out_of_a_thread_has_to_mention_it_to_have_it_back(
    fake: FakeDiscord, place: Place
) -> None:
    async with running(own(fake), keep := Keep(), fake):
        thread = await fake.open_thread(await fake.say(place.general, place.ada, "hi"), "hi", fake.bot)
        await keep.next()
        told = []
        for words in ("one", None, "two", f"{fake.bot.mention} three", "four"):
            if words is None:
                thread.members.discard(fake.bot.id)
                await fake.announce_members(thread, joined=False)
            else:
                await fake.say(thread, place.ada, words)
                inbound = await keep.next()
                told.append((inbound.text, inbound.addressed))

    assert told == [("one", "thread"), ("two", "ambient"), ("three", "mention"), ("four", "thread")]
    assert fake.bot.id in thread.members


@pytest.mark.parametrize("told", [True, False])
async def test_a_thread_that_the_bot_was_taken_out_of_before_it_was_started_is_asked_about(
    fake: FakeDiscord, place: Place, told: bool
) -> None:
    thread = await fake.open_thread(await fake.say(place.general, place.ada, "hi"), "of yesterday", fake.bot)
    thread.members.discard(fake.bot.id)
    if not told:
        fake.refuse("GET", f"/channels/{thread.id}/thread-members/{fake.bot.id}", 503, "down")
    async with running(own(fake), keep := Keep(), fake):
        heard = []
        for words in ("one", f"{fake.bot.mention} two", "three"):
            await fake.say(thread, place.ada, words)
            heard.append((await keep.next()).addressed)
            await fake.until(lambda words=words: "two" not in words or fake.bot.id in thread.members)

    assert heard == ["ambient" if told else "thread", "mention", "thread"]


@pytest.mark.parametrize("hidden", [False, True])
async def test_a_thread_that_the_client_has_not_heard_of_is_asked_for(
    fake: FakeDiscord, place: Place, hidden: bool
) -> None:
    thread = await fake.open_thread(await fake.say(place.general, place.ada, "hi"), "of last year", fake.bot)
    thread.archived = True
    async with running(own(fake), keep := Keep(), fake):
        if hidden:
            fake.refuse("GET", f"/channels/{thread.id}", 403, {"message": "Missing Access", "code": 50001})
        await fake.say(thread, place.ada, "still here?")
        inbound = await keep.next()

    if hidden:
        assert (inbound.addressed, inbound.key.channel) == ("ambient", str(thread.id))
    else:
        assert (inbound.addressed, inbound.key.thread) == ("thread", str(thread.id))
        assert (inbound.key.channel, inbound.channel_name) == (str(place.general.id), "general")


@pytest.mark.parametrize("kind", [ChannelType.VOICE, ChannelType.TEXT])
async def test_where_no_thread_can_be_opened_the_bot_replies_in_place(
    fake: FakeDiscord, place: Place, kind: ChannelType, caplog: pytest.LogCaptureFixture
) -> None:
    channel = fake.channel(place.guild, "lounge", kind)
    channel.denied.add("create_public_threads")
    async with echoing(fake) as echo:
        asked = await fake.say(channel, place.ada, f"{fake.bot.mention} hi")
        answer = await fake.next_post()

    assert (answer.channel, answer.reply_to) == (channel, asked)
    assert answer.pings == []
    thread = None if kind is ChannelType.VOICE else str(asked.id)
    assert echo.received[0].key == ConversationKey("discord", str(place.guild.id), str(channel.id), thread)
    ours = [record for record in caplog.records if record.name.startswith("dspy_session")]
    warnings = [record.getMessage() for record in ours if record.levelno == logging.WARNING]
    assert [("Create Public Threads" in one) for one in warnings] == ([] if kind is ChannelType.VOICE else [True])


async def test_what_is_not_for_the_bot_is_left_alone(fake: FakeDiscord, place: Place) -> None:
    other_bot = fake.person("Rival", bot=True)
    mention = fake.bot.mention
    async with echoing(fake) as echo:
        await fake.say(place.general, place.ada, "just talking")
        await fake.say(place.general, place.ada, "@everyone lunch")
        await fake.say(place.general, other_bot, f"{mention} let us loop")
        await fake.say(fake.dm(other_bot), other_bot, "psst")
        await fake.say(place.general, place.ada, f"{mention} from a webhook", webhook=True)
        await fake.say(place.general, fake.bot, f"{mention} I wrote this")
        await fake.say(place.general, place.ada, f"{mention} pinned a message", type=6)
        await fake.say(fake.dm(place.ada), place.ada, "")
        await fake.say(place.general, place.ada, f"{mention} but this is")
        await fake.next_post()

    assert [inbound.text for inbound in echo.received] == ["but this is"]
    told = [(event.text, event.addressed, event.author.is_bot) for event in echo.heard if isinstance(event, Inbound)]
    assert told == [
        ("just talking", "ambient", False),
        ("@everyone lunch", "ambient", False),
        ("let us loop", "mention", True),
        ("psst", "direct", True),
        ("from a webhook", "mention", True),
        ("but this is", "mention", False),
    ]


async def test_the_bot_is_mentioned_by_its_role_and_by_a_reply_that_pings(fake: FakeDiscord, place: Place) -> None:
    async with echoing(fake) as echo:
        await fake.say(place.general, place.ada, f"{place.guild.bot_role.mention} hi")
        await fake.next_post()
        before = await fake.say(place.general, fake.bot, "I said something")
        await fake.say(place.general, place.ada, "did you?", reply_to=before)
        await fake.next_post()
        await fake.say(place.general, place.ada, fake.bot.mention)
        await fake.next_post()

    assert [inbound.text for inbound in echo.received] == ["hi", "did you?", ""]
    assert {inbound.addressed for inbound in echo.received} == {"mention"}


async def test_a_message_that_is_delivered_twice_has_the_same_id_twice(fake: FakeDiscord, place: Place) -> None:
    async with echoing(fake) as echo:
        message = await fake.say(fake.dm(place.ada), place.ada, "once")
        await fake.announce(message, "MESSAGE_CREATE")
        await fake.until(lambda: fake.requested("POST", "/messages") == 2)

    assert [inbound.event_id for inbound in echo.received] == [str(message.id)] * 2
    assert len(fake.posts) == 1  # the nonce of the answer was the same


async def test_messages_are_handed_over_in_the_order_in_which_they_came(fake: FakeDiscord, place: Place) -> None:
    async with echoing(fake) as echo:
        for number in range(30):
            await fake.say(fake.dm(place.ada), place.ada, str(number))
        await fake.until(lambda: len(fake.posts) == 30)

    assert [inbound.text for inbound in echo.received] == [str(number) for number in range(30)]
