"""What people do besides writing, as the real client tells it: edits, deletions, reactions."""

from __future__ import annotations

import discord
import pytest

from dspy_session.conversation.key import ConversationKey
from dspy_session_chat.action import Action, Deletion, Edit, Reaction, event_from_json
from dspy_session_chat.inbound import Author, Inbound
from dspy_session_discord import Discord
from dspy_session_discord.destination import Destination
from tests.discord.conftest import Place
from tests.discord.talk import HURRY, INTENTS, Keep, own, running
from tests.loopback.discord import Channel, FakeDiscord


def in_channel(place: Place, thread: object = None) -> ConversationKey:
    named = None if thread is None else str(thread)
    return ConversationKey("discord", str(place.guild.id), str(place.general.id), named)


async def test_an_edit_says_what_the_message_says_now(fake: FakeDiscord, place: Place) -> None:
    keep = Keep()
    devs = fake.role(place.guild, "devs")
    place.ada.roles.append(devs)
    async with running(own(fake), keep, fake):
        asked = await fake.say(place.general, place.ada, f"{fake.bot.mention} waht?")
        inbound = await keep.next()
        await fake.edit(asked, f"{fake.bot.mention} what?")
        edit = await keep.action()

    assert edit.deed == Edit(inbound.event_id, "what?")
    assert (edit.key, edit.channel_name, edit.author) == (inbound.key, "general", inbound.author)
    assert edit.author.roles == (str(devs.id),)
    assert edit.sent_at > inbound.sent_at
    assert edit.event_id != inbound.event_id
    assert event_from_json(edit.to_json()) == edit


async def test_an_update_in_which_nobody_edited_anything_is_no_edit(fake: FakeDiscord, place: Place) -> None:
    keep = Keep()
    dm = fake.dm(place.ada)
    async with running(own(fake), keep, fake):
        asked = await fake.say(dm, place.ada, "see https://example.com")
        await keep.next()
        await fake.unfold(asked)
        await fake.edit(asked, "see https://example.org")
        first = await keep.action()
        await fake.unfold(asked)
        again = await keep.action()
        await fake.edit(asked, "never mind")
        second = await keep.action()

    assert again == first  # the bot has had that id
    assert [edit.deed for edit in (first, second)] == [
        Edit(str(asked.id), "see https://example.org"),
        Edit(str(asked.id), "never mind"),
    ]
    assert first.event_id != second.event_id


async def test_a_client_that_keeps_messages_tells_whether_the_text_changed(fake: FakeDiscord, place: Place) -> None:
    client = discord.Client(intents=INTENTS, connector=fake.connector(), **HURRY)
    keep = Keep()
    async with running(Discord(bot=client, token=fake.token), keep, fake):
        asked = await fake.say(fake.dm(place.ada), place.ada, "one")
        await keep.next()
        await fake.edit(asked, "two")
        await keep.action()
        await fake.unfold(asked)
        await fake.edit(asked, "three")
        edit = await keep.action()

    assert edit.deed == Edit(str(asked.id), "three")


async def test_what_the_bot_changes_and_deletes_of_its_own_is_not_told(fake: FakeDiscord, place: Place) -> None:
    keep, platform = Keep(), own(fake)
    async with running(platform, keep, fake):
        await fake.say(fake.dm(place.ada), place.ada, "hi")
        inbound = await keep.next()
        message_id = await platform.begin(inbound, "one moment")
        await platform.edit(inbound, message_id, "hello")
        await fake.react(fake.posts[0], fake.bot, "👍")
        await fake.say(fake.dm(place.ada), place.ada, "the next")
        assert (await keep.next()).text == "the next"


async def test_deletions_name_the_message_and_its_conversation(fake: FakeDiscord, place: Place) -> None:
    keep = Keep()
    async with running(own(fake), keep, fake):
        first, second, third = [await fake.say(place.general, place.ada, f"number {one}") for one in range(3)]
        inbounds = [await keep.next() for _ in range(3)]
        await fake.delete(first)
        alone = await keep.action()
        await fake.delete_many(third, second)
        together = [await keep.action() for _ in range(2)]

    deletions = [alone, *together]
    assert [one.deed for one in deletions] == [Deletion(inbound.event_id) for inbound in inbounds]
    assert [one.key for one in deletions] == [inbound.key for inbound in inbounds]
    assert {one.author for one in deletions} == {Author("", "")}
    assert len({one.event_id for one in (*deletions, *inbounds)}) == 6


async def test_who_deletes_what_a_thread_began_with_goes_on_in_the_thread(fake: FakeDiscord, place: Place) -> None:
    keep = Keep()
    async with running(own(fake), keep, fake):
        asked = await fake.say(place.general, place.ada, "hi")
        inbound = await keep.next()
        thread = await fake.open_thread(asked, "hi", fake.bot)
        await fake.delete(asked)
        deletion = await keep.action()

    assert deletion.key == inbound.key
    assert Destination.from_dict(deletion.reply_to) == Destination(thread.id)


async def test_a_deletion_in_a_direct_message(fake: FakeDiscord, place: Place) -> None:
    keep = Keep()
    async with running(own(fake), keep, fake):
        said = await fake.say(fake.dm(place.ada), place.ada, "oh no")
        inbound = await keep.next()
        await fake.delete(said)
        deletion = await keep.action()

    assert (deletion.key, deletion.deed) == (inbound.key, Deletion(inbound.event_id))


@pytest.mark.parametrize(
    ("written", "emoji"),
    [("👍", "👍"), ("👍🏽", "👍"), ("❤️", "❤️"), ("👩🏿‍💻", "👩‍💻"), ("party:1461", "party")],
)
async def test_a_reaction_to_a_message_of_the_bots(fake: FakeDiscord, place: Place, written: str, emoji: str) -> None:
    keep = Keep()
    answer = await fake.say(place.general, fake.bot, "at your service")
    async with running(own(fake), keep, fake):
        await fake.react(answer, place.ada, written)
        added = await keep.action()
        await fake.unreact(answer, place.ada, written)
        removed = await keep.action()

    assert added.deed == Reaction(emoji, str(answer.id), added=True)
    assert removed.deed == Reaction(emoji, str(answer.id), added=False)
    assert added.key == removed.key == in_channel(place)
    assert (added.author, removed.author.id) == (Author(str(place.ada.id), "Ada"), str(place.ada.id))
    assert added.channel_name == "general"


async def test_a_reaction_in_a_thread_and_in_a_direct_message_names_the_conversation(
    fake: FakeDiscord, place: Place
) -> None:
    keep = Keep()
    dm = fake.dm(place.ada)
    thread = await fake.open_thread(await fake.say(place.general, place.ada, "hi"), "hi", fake.bot)
    answers = [await fake.say(where, fake.bot, "hello") for where in (thread, dm)]
    async with running(own(fake), keep, fake):
        for answer in answers:
            await fake.react(answer, place.ada, "👎")
        in_thread, in_dm = [await keep.action() for _ in answers]

    assert in_thread.key == in_channel(place, thread.id)
    assert in_dm.key == ConversationKey("discord", "", str(dm.id))
    assert in_dm.author.id == str(place.ada.id)
    assert [Destination.from_dict(one.reply_to).message for one in (in_thread, in_dm)] == [None, None]


async def test_reactions_to_what_others_wrote_are_not_told_where_discord_says_so(
    fake: FakeDiscord, place: Place
) -> None:
    keep = Keep()
    theirs = await fake.say(place.general, place.bob, "lunch?")
    ours = await fake.say(place.general, fake.bot, "hello")
    async with running(own(fake), keep, fake):
        await fake.react(theirs, place.ada, "👍")
        await fake.react(ours, place.ada, "👍")
        told = await keep.action()

    assert told.deed == Reaction("👍", str(ours.id))


async def test_a_reaction_that_is_put_there_again_is_another_one(fake: FakeDiscord, place: Place) -> None:
    keep = Keep()
    answer = await fake.say(place.general, fake.bot, "hello")
    told: list[Action] = []
    async with running(own(fake), keep, fake):
        for added in (True, False, True):
            await (fake.react if added else fake.unreact)(answer, place.ada, "👍")
            told.append(await keep.action())
            await fake.announce_reaction(answer, place.ada, "👍", added=added)  # as after a resume
            told.append(await keep.action())
        await fake.react(answer, place.bob, "👍")
        told.append(await keep.action())

    ids = [one.event_id for one in told]
    assert ids[::2][:3] == ids[1::2]
    assert len(set(ids)) == 4


async def test_an_edit_that_discord_keeps_the_text_of_is_not_told(fake: FakeDiscord, place: Place) -> None:
    fake.message_content = False
    keep = Keep()
    async with running(own(fake), keep, fake):
        said = await fake.say(place.general, place.ada, "secret")
        await fake.edit(said, "more secret")
        await fake.say(fake.dm(place.ada), place.ada, "hi")
        event = await keep.event()

    assert isinstance(event, Inbound)
    assert event.text == "hi"


async def test_an_event_that_cannot_be_read_does_not_keep_the_next_away(
    fake: FakeDiscord, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    keep = Keep()
    answer = await fake.say(place.general, fake.bot, "hello")
    nowhere = Channel(fake.snowflakes.next(), place.general.type, "unknown", place.guild)
    async with running(own(fake), keep, fake):
        await fake.react(answer, place.ada, ":7")  # an emoji that was deleted has no name
        await fake.say(nowhere, place.ada, "where is this?")
        event = await keep.next()
        await fake.deliver({"id": "1", "channel_id": "2"}, "MESSAGE_DELETE")
        deletion = await keep.action()

    assert event.key == ConversationKey("discord", str(place.guild.id), str(nowhere.id))
    assert deletion.key == ConversationKey("discord", "", "2")
    assert not caplog.records
