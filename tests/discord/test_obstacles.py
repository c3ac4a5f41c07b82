"""Permissions that are missing, threads that are locked, channels that are gone: who is told, and that it goes on."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import pytest

from dspy_session.errors import PlatformError
from dspy_session_chat import Bot
from dspy_session_chat.platform import Post, RefusedInPartError
from dspy_session_chat.reply import Button, Reply, ReplyFile
from tests.chat.agents import Parrot, held
from tests.chat.places import saying
from tests.discord.conftest import Place
from tests.discord.talk import Keep, own, running
from tests.loopback.discord import Channel, ChannelType, FakeDiscord

STOP = Button("stop", "Stop", about="1")


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    ours = (record for record in caplog.records if record.name.startswith("dspy_session"))
    return [record.getMessage() for record in ours if record.levelno == logging.WARNING]


def told(fake: FakeDiscord, place: Place) -> list[str]:
    """What Ada has read in her direct messages."""
    return [message.content for message in fake.dm(place.ada).visible if message.author is fake.bot]


@pytest.mark.parametrize("lacking", ["create_public_threads", "send_messages_in_threads"])
async def test_where_no_thread_may_be_opened_that_is_told_once_until_it_changes(
    fake: FakeDiscord, place: Place, lacking: str, caplog: pytest.LogCaptureFixture
) -> None:
    name = lacking.replace("_", " ").title().replace(" In ", " in ")
    keep, platform = Keep(), own(fake)
    async with running(platform, keep, fake):

        async def answered(words: str) -> None:
            await fake.say(place.general, place.ada, f"{fake.bot.mention} {words}")
            await platform.post(saying(await keep.next(), "hello", turn_id=f"turn-{words}"))

        await fake.deny(place.general, lacking)
        await answered("one")
        await answered("two")
        await fake.allow(place.general, lacking)
        await answered("three")
        await fake.deny(place.general, lacking)
        await answered("four")

    note = f"hello\n\n-# I could not open a thread for this: the bot's role lacks {name}."
    assert [post.content for post in fake.posts] == [note, "hello", "hello", note]
    assert [post.channel.is_thread for post in fake.posts] == [False, False, True, False]
    line = f"in #general of Acme, no thread can be opened: the bot's role lacks {name}"
    assert warnings(caplog) == [line, line]
    assert fake.requested("POST", "/threads") == 1


async def test_who_cannot_be_answered_where_they_asked_reads_so_in_a_direct_message(
    fake: FakeDiscord, place: Place
) -> None:
    keep, platform = Keep(), own(fake)
    lounge = fake.channel(place.guild, "lounge", ChannelType.VOICE)
    errors = []
    async with running(platform, keep, fake):
        await fake.deny(lounge, "send_messages")
        for author in (place.ada, place.ada, place.bob):
            await fake.say(lounge, author, f"{fake.bot.mention} hi")
            with pytest.raises(PlatformError) as refused:
                await platform.post(saying(await keep.next(), "hello", turn_id="turn"))
            errors.append(str(refused.value))
        await fake.allow(lounge, "send_messages")
        await fake.say(lounge, place.ada, f"{fake.bot.mention} hi")
        await platform.post(saying(await keep.next(), "hello", turn_id="turn"))
        await fake.deny(lounge, "send_messages")
        await fake.say(lounge, place.ada, f"{fake.bot.mention} hi")
        with pytest.raises(PlatformError, match="lacks Send Messages"):
            await platform.post(saying(await keep.next(), "hello", turn_id="turn"))

    line = "I could not answer you in #lounge of Acme: I may not write there."
    assert told(fake, place) == [line, line]
    assert [message.content for message in fake.dm(place.bob).visible] == [line]
    assert errors == [
        "Discord did not take the answer: the bot's role lacks Send Messages there (#lounge of Acme)",
        "Discord did not take the answer: it is still as it was in #lounge of Acme",
        "Discord did not take the answer: it is still as it was in #lounge of Acme",
    ]


async def _locked(fake: FakeDiscord, thread: Channel) -> None:
    assert thread.parent is not None
    await fake.deny(thread.parent, "manage_threads")
    thread.archived = thread.locked = True
    await fake.announce_thread("THREAD_UPDATE", thread)


async def _hidden(fake: FakeDiscord, thread: Channel) -> None:
    assert thread.parent is not None
    await fake.deny(thread.parent, "view_channel")


async def _channel_gone(fake: FakeDiscord, thread: Channel) -> None:
    assert thread.parent is not None
    await fake.remove(thread.parent)


async def _kicked(fake: FakeDiscord, thread: Channel) -> None:
    assert thread.guild is not None
    await fake.kick(thread.guild)


@pytest.mark.parametrize(
    ("happens", "operator", "person"),
    [
        (FakeDiscord.remove, "the channel or thread is gone", "it is gone"),
        (_channel_gone, "the channel or thread is gone", "it is gone"),
        (_kicked, "the bot cannot see the channel", "I cannot see it any more"),
        (_hidden, "lacks View Channels", "I cannot see it any more"),
        (_locked, "the thread is locked", "it is locked"),
    ],
)
async def test_what_happens_to_a_place_while_an_answer_is_written_there_is_told_in_a_line(
    fake: FakeDiscord,
    place: Place,
    happens: Callable[[FakeDiscord, Channel], Awaitable[None]],
    operator: str,
    person: str,
) -> None:
    keep, platform = Keep(), own(fake)
    async with running(platform, keep, fake):
        await fake.say(place.general, place.ada, f"{fake.bot.mention} hi")
        inbound = await keep.next()
        shown = await platform.begin(inbound, "one moment", [STOP])
        await happens(fake, (await fake.next_post()).channel)
        await fake.say(fake.dm(place.ada), place.ada, "what happened has arrived before this")
        direct = await keep.next()
        with pytest.raises(PlatformError):
            await platform.edit(inbound, shown, "one moment more", [STOP])
        with pytest.raises(RefusedInPartError, match=operator) as refused:
            await platform.post(Post(inbound, Reply("hello", "turn-1"), shown=(shown,)))
        await platform.post(saying(direct, "still here"))

    line, last = told(fake, place)
    is_known = happens is _hidden  # what is archived is forgotten
    where = 'the thread "hi" of Acme' if is_known else "the place where you asked"
    assert line == f"I could not answer you in {where}: {person}."
    assert last == "still here"
    assert refused.value.message_ids == (shown,)
    assert "\n" not in str(refused.value)


async def test_a_bot_that_is_kicked_while_it_speaks_goes_on_elsewhere_and_forgets_nothing(
    fake: FakeDiscord, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    other = fake.guild("Elsewhere")
    lobby = fake.channel(other, "lobby")
    agent = Parrot()
    gate = agent.gate()
    async with Bot(held(agent), platforms=[own(fake)], store="memory://") as bot:
        await fake.connected()
        asked = await fake.say(place.general, place.ada, f"{fake.bot.mention} hi")
        await agent.started.wait()
        await fake.kick(place.guild)
        gate.set()
        await fake.until(lambda: told(fake, place))
        await fake.say(lobby, place.ada, f"{fake.bot.mention} still there?")
        await fake.until(lambda: any(post.channel.guild is other for post in fake.posts))
        key = f"discord:{place.guild.id}:{place.general.id}:{asked.id}"
        (turn,) = (await bot.conversations.state(key)).turns

    assert turn.outputs["reply"] == "hi! (0 before, call 1)"
    assert [line for line in told(fake, place) if "I cannot see it any more" in line] == told(fake, place)
    (line,) = [record.getMessage() for record in caplog.records if "was not posted" in record.getMessage()]
    assert "the bot cannot see the channel" in line


@pytest.mark.parametrize("known", [True, False])
async def test_who_may_not_read_what_was_said_answers_without_quoting_it(
    fake: FakeDiscord, place: Place, known: bool, caplog: pytest.LogCaptureFixture
) -> None:
    keep, platform = Keep(), own(fake)
    lounge = fake.channel(place.guild, "lounge", ChannelType.VOICE)
    async with running(platform, keep, fake):
        if known:
            await fake.deny(lounge, "read_message_history")
        else:
            lounge.denied.add("read_message_history")
        for number in range(2):
            await fake.say(lounge, place.ada, f"{fake.bot.mention} hi")
            await platform.post(saying(await keep.next(), "hello", turn_id=f"turn-{number}"))

    assert [(post.channel, post.content, post.reply_to) for post in fake.posts] == [(lounge, "hello", None)] * 2
    line = "in #lounge of Acme, answers quote nothing: the bot's role lacks Read Message History"
    assert warnings(caplog) == ([line] if known else [])


async def test_that_it_may_not_read_what_was_said_before_is_told_once(
    fake: FakeDiscord, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    keep, platform = Keep(), own(fake)
    await fake.say(place.general, place.bob, "before")
    async with running(platform, keep, fake):
        said = []
        for change in (fake.deny, None, fake.allow):
            if change is not None:
                await change(place.general, "read_message_history")
            await fake.say(place.general, place.ada, f"{fake.bot.mention} hi")
            said.append([one.text for one in await platform.said_before(await keep.next(), 5)])

    assert said == [[], [], ["before", "hi", "hi"]]
    line = "what was said before is not known: the bot's role lacks Read Message History"
    assert warnings(caplog) == [f"in #general of Acme, {line}"]


async def test_who_may_not_attach_files_says_so_to_people_and_once_to_the_operator(
    fake: FakeDiscord, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    keep, platform = Keep(), own(fake)
    await fake.deny(place.general, "attach_files")
    async with running(platform, keep, fake):
        await fake.say(place.general, place.ada, f"{fake.bot.mention} draw a bell")
        inbound = await keep.next()
        for turn in ("turn-1", "turn-2"):
            picture = ReplyFile("bell.png", "image/png", b"x" * 200_000)
            await platform.post(Post(inbound, Reply("Here it is.", turn, files=(picture,))))

    assert [post.content for post in fake.posts] == ["Here it is.", "-# Discord did not take: bell.png (0.2 MB)"] * 2
    (line,) = warnings(caplog)
    assert line.endswith(", no files can be sent: the bot's role lacks Attach Files")
