"""What people wrote while the bot was away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import discord
import pytest
from discord.ext import commands
from hypothesis import given
from hypothesis import strategies as st

from dspy_session.conversation import ConversationKey, Conversations
from dspy_session.errors import StoreError
from dspy_session.stores import ConversationInfo
from dspy_session_chat import Bot
from dspy_session_discord import Discord
from dspy_session_discord.inbound import catching_up
from dspy_session_discord.inbound.gaps import SLACK, Gaps, id_at, read_from
from dspy_session_discord.transport import pace, starting
from tests.chat.agents import Parrot, held
from tests.discord.conftest import Place
from tests.discord.talk import HURRY, INTENTS, Keep, own, running
from tests.loopback.discord import ChannelType, FakeDiscord

NOON = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
"""When the fake Discord begins."""


class Noon:
    """It is noon. The clock is looked at when a session begins, before anything is asked for."""

    def __init__(self) -> None:
        self._looks: asyncio.Queue[None] = asyncio.Queue()

    def __call__(self) -> datetime:
        self._looks.put_nowait(None)
        return NOON

    async def looked_at(self, times: int = 2) -> None:
        """Wait until the first session has seen that it missed nothing, which takes two looks; each further one takes
        one.
        """
        for _ in range(times):
            async with asyncio.timeout(10):
                await self._looks.get()


@pytest.fixture(autouse=True)
def prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for."""
    monkeypatch.setattr(pace, "FIRST_PAUSE", 0.0)
    monkeypatch.setattr(starting, "BETWEEN_SECONDS", 0.0)
    monkeypatch.setattr(pace, "LONGEST", 0.0)


def a_bot(fake: FakeDiscord, store: str) -> Bot:
    platform = Discord(token=fake.token, client_options={"connector": fake.connector(), **HURRY})
    return Bot(held(Parrot()), platforms=[platform], store=store)


async def lose_the_session(fake: FakeDiscord) -> Callable[[], bool]:
    """The connection is there, and hears nothing more; what is returned is true once it is back with a new session."""
    identified = fake.gateway.identified
    fake.gateway.sessions.clear()
    return lambda: fake.gateway.identified == identified + 1 and bool(fake.gateway.live)


async def test_what_was_written_while_the_bot_was_down_is_answered_once(
    fake: FakeDiscord, place: Place, tmp_path: Path
) -> None:
    fake.snowflakes.follow(time.time)
    store, dm = f"sqlite:///{tmp_path / 'bot.db'}", fake.dm(place.ada)
    lounge = fake.channel(place.guild, "lounge", ChannelType.VOICE)
    await fake.say(dm, place.ada, "before there was a bot")
    await fake.say(place.general, place.ada, f"{fake.bot.mention} before there was a bot")
    async with a_bot(fake, store):
        await fake.connected()
        await fake.say(dm, place.ada, "one")
        await fake.next_post()
        await fake.say(place.general, place.bob, f"{fake.bot.mention} two")
        thread = (await fake.next_post()).channel
    await fake.until(lambda: not fake.gateway.live)
    requests = len(fake.requests)

    await fake.say(dm, place.ada, "three")
    await fake.say(dm, place.ada, "four")
    await fake.say(place.general, place.ada, f"{fake.bot.mention} five")
    await fake.say(place.general, place.ada, "not for the bot")
    await fake.say(thread, place.bob, "six")
    await fake.say(thread, place.bob, f"{place.ada.mention} what do you say?")
    async with a_bot(fake, store):
        await fake.say(lounge, place.bob, f"{fake.bot.mention} seven")
        for _ in range(5):
            await fake.next_post()
    read = [path for method, path in fake.requests[requests:] if method == "GET" and path.endswith("/messages")]

    answers = [post.content.partition("!")[0] for post in fake.posts]
    assert answers[:2] == ["one", "two"]
    assert sorted(answers[2:]) == ["five", "four", "seven", "six", "three"]
    assert answers.index("three") < answers.index("four")
    assert {post.content.partition("!")[0]: post.channel for post in fake.posts}["six"] is thread
    assert len(read) <= 5


async def test_what_was_forgotten_is_not_answered_again(fake: FakeDiscord, place: Place, tmp_path: Path) -> None:
    fake.snowflakes.follow(time.time)
    store, dm, kept = f"sqlite:///{tmp_path / 'bot.db'}", fake.dm(place.ada), fake.dm(place.bob)
    bot = a_bot(fake, store)
    async with bot:
        await fake.connected()
        await fake.say(kept, place.bob, "zero")
        await fake.next_post()
        await fake.say(dm, place.ada, "one")
        await fake.next_post()
        await fake.say(place.general, place.ada, f"{fake.bot.mention} two")
        thread = (await fake.next_post()).channel
        await fake.say(thread, place.ada, "three")
        await fake.next_post()
    await fake.until(lambda: not fake.gateway.live)
    async with bot.conversations as conversations:
        for known in await conversations.list("discord:"):
            if str(kept.id) not in known.key:
                await conversations.forget(ConversationKey.parse(known.key))
    async with a_bot(fake, store):
        await fake.until(lambda: fake.gateway.identified == 2 and fake.gateway.live)
        await fake.say(dm, place.ada, "four")
        await fake.next_post()
    await fake.until(lambda: not fake.gateway.live)
    await fake.say(dm, place.ada, "five")
    async with a_bot(fake, store):
        await fake.next_post()
        await fake.say(dm, place.ada, "six")
        await fake.next_post()

    answers = [post.content.partition("!")[0] for post in fake.posts]
    assert answers == ["zero", "one", "two", "three", "four", "five", "six"]


async def test_one_shard_catches_up_for_itself(fake: FakeDiscord) -> None:
    fake.gateway.shards = 2
    ada = fake.person("Ada")
    rooms = [fake.channel(fake.guild()), fake.channel(fake.guild())]
    first, second = sorted(rooms, key=lambda room: 0 if room.guild is None else (room.guild.id >> 22) % 2)
    keep = Keep()
    options = {"connector": fake.connector(), **HURRY}
    platform = Discord(token=fake.token, shards="auto", client_options=options, now=(noon := Noon()))
    async with running(platform, keep, fake):
        await fake.until(lambda: len(fake.gateway.live) == 2)
        await noon.looked_at(times=3)
        for place in (fake.dm(ada), first, second):
            await fake.say(place, ada, f"{fake.bot.mention} heard")
            await keep.next()
        (lost,) = [session for session in fake.gateway.live if session.shard == (1, 2)]
        del fake.gateway.sessions[lost.id]
        await fake.say(second, ada, f"{fake.bot.mention} missed")
        await fake.say(first, ada, f"{fake.bot.mention} heard as well")
        assert (await keep.next()).text == "heard as well"
        await fake.gateway.drop(4000)
        await fake.until(lambda: fake.gateway.identified == 3 and fake.gateway.resumed == 1)
        assert [(await keep.next()).text for _ in range(2)] == ["heard", "missed"]

    read = {path for method, path in fake.requests if method == "GET" and path.endswith("/messages")}
    assert read == {f"/channels/{second.id}/messages"}


async def test_a_client_that_is_connected_already_catches_up_when_it_is_joined(
    fake: FakeDiscord, place: Place, tmp_path: Path
) -> None:
    fake.snowflakes.follow(time.time)
    store, dm = f"sqlite:///{tmp_path / 'bot.db'}", fake.dm(place.ada)
    async with a_bot(fake, store):
        await fake.connected()
        await fake.say(dm, place.ada, "one")
        await fake.next_post()
    await fake.until(lambda: not fake.gateway.live)
    await fake.say(dm, place.ada, "two")
    async with discord.Client(intents=INTENTS, connector=fake.connector(), **HURRY) as client:
        owner = asyncio.create_task(client.start(fake.token))
        await fake.connected()
        await client.wait_until_ready()
        async with Bot(held(Parrot()), platforms=[Discord(bot=client)], store=store):
            answer = await fake.next_post()
    await owner

    assert answer.content.startswith("two!")


async def test_a_session_that_is_lost_loses_no_message(fake: FakeDiscord, place: Place) -> None:
    fake.snowflakes.follow(time.time)
    dm = fake.dm(place.ada)
    async with a_bot(fake, "memory://"):
        await fake.connected()
        await fake.say(dm, place.ada, "one")
        await fake.next_post()
        back = await lose_the_session(fake)
        await fake.say(dm, place.ada, "two")
        await fake.say(place.general, place.bob, f"{fake.bot.mention} three")
        await fake.gateway.drop(4000)
        await fake.until(back)
        await fake.next_post()
        await fake.next_post()
        await fake.say(dm, place.ada, "four")
        await fake.next_post()

    answers = [post.content.partition("!")[0] for post in fake.posts]
    assert (answers[0], sorted(answers[1:3]), answers[3:]) == ("one", ["three", "two"], ["four"])


async def test_who_wrote_is_known_with_their_roles_and_what_was_answered_is_left(
    fake: FakeDiscord, place: Place
) -> None:
    staff = fake.role(place.guild, "staff")
    place.ada.roles.append(staff)
    keep, platform = Keep(), own(fake, now=(noon := Noon()))
    async with running(platform, keep, fake):
        await noon.looked_at()
        await fake.say(place.general, place.bob, f"{fake.bot.mention} heard")
        await keep.next()
        back = await lose_the_session(fake)
        await fake.say(place.general, place.ada, f"{fake.bot.mention} missed")
        threaded = await fake.say(place.general, place.ada, f"{fake.bot.mention} answered in a thread")
        await fake.open_thread(threaded, "answered", fake.bot)
        quoted = await fake.say(place.general, place.ada, f"{fake.bot.mention} answered in place")
        await fake.say(place.general, fake.bot, "there you are", reply_to=quoted)
        await fake.say(place.general, place.ada, "", type=6)
        await fake.say(place.general, place.bob, "a hook", webhook=True)
        gone = fake.person("Gone")
        await fake.say(place.general, gone, f"{fake.bot.mention} I leave")
        del fake.people[gone.id]
        await fake.gateway.drop(4000)
        await fake.until(back)
        found = [await keep.next() for _ in range(4)]

    assert [(one.text, one.author.name, one.author.roles) for one in found] == [
        ("heard", "Bob", ()),  # it comes twice, which the inbox knows
        ("missed", "Ada", (str(staff.id),)),
        ("a hook", "Bob", ()),
        ("I leave", "Gone", ()),
    ]
    assert keep.empty
    assert fake.requested("GET", f"/members/{place.ada.id}") == 1


async def test_what_cannot_be_read_is_told_and_the_rest_is_read(
    fake: FakeDiscord, place: Place, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catching_up, "MOST_PLACES", 2)
    monkeypatch.setattr(catching_up, "MOST_MESSAGES", 2)
    rooms = [fake.channel(place.guild, f"room-{number}") for number in range(4)]
    keep, platform = Keep(), own(fake, now=(noon := Noon()))
    async with running(platform, keep, fake):
        await noon.looked_at()
        await fake.say(fake.dm(place.ada), place.ada, "heard")
        await keep.next()
        back = await lose_the_session(fake)
        for room in rooms:
            for _ in range(3):
                await fake.say(room, place.ada, f"{fake.bot.mention} {room.name}")
        fake.refuse("GET", f"/channels/{rooms[3].id}/messages", 403, {"message": "Missing Access", "code": 50001})
        await fake.gateway.drop(4000)
        await fake.until(back)
        found = [await keep.next() for _ in range(3)]

    assert [one.text for one in found] == ["room-2", "room-2", "heard"]
    lines = [one.getMessage() for one in caplog.records if one.name == catching_up.__name__]
    assert lines == [
        "What people wrote meanwhile in 2 channels is not read",
        f"What people wrote meanwhile in channel {rooms[3].id} cannot be read: {lines[1].partition(': ')[2]}",
        f"More was written meanwhile in channel {rooms[2].id} than is read: 2 messages",
    ]


@pytest.mark.parametrize("error", [StoreError("the database is down"), RuntimeError("a bug")])
async def test_what_could_not_be_caught_up_is_tried_at_the_next_session(
    fake: FakeDiscord, place: Place, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    failed = asyncio.Event()

    class Failing(Conversations):
        """Cannot say at first what is kept."""

        async def list(self, prefix: str = "") -> Sequence[ConversationInfo]:
            if failed.is_set():
                return await super().list(prefix)
            failed.set()
            raise error

    keep, platform = Keep(), own(fake, now=lambda: NOON)
    async with Failing(held(Parrot())) as conversations:
        platform.use_conversations(conversations)
        async with running(platform, keep, fake):
            async with asyncio.timeout(10):
                await failed.wait()
            await fake.say(place.general, place.ada, f"{fake.bot.mention} heard")
            await keep.next()
            back = await lose_the_session(fake)
            await fake.say(place.general, place.ada, f"{fake.bot.mention} missed")
            await fake.gateway.drop(4000)
            await fake.until(back)
            assert (await keep.next()).text == "missed"

    assert "What people wrote meanwhile is not known" in caplog.text
    assert str(error) in caplog.text


async def test_a_server_that_comes_late_is_read_when_it_is_there(fake: FakeDiscord, place: Place) -> None:
    keep, platform = Keep(), own(fake, now=(noon := Noon()))
    async with running(platform, keep, fake):
        await noon.looked_at()
        await fake.say(fake.dm(place.ada), place.ada, "heard")
        await keep.next()
        back = await lose_the_session(fake)
        await fake.say(place.general, place.ada, f"{fake.bot.mention} missed")
        fake.gateway.servers_come_late = True
        await fake.gateway.drop(4000)
        await fake.until(back)
        assert (await keep.next()).text == "heard"
        await fake.gateway.tell_of_servers()
        assert (await keep.next()).text == "missed"


async def test_commands_of_a_bot_that_is_joined_stay_its_own(fake: FakeDiscord, place: Place) -> None:
    class Mine(commands.Bot):
        async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
            """Not to wait."""

    bot = Mine(command_prefix="!", intents=INTENTS, connector=fake.connector(), **HURRY)

    @bot.command()
    async def ping(context: commands.Context[commands.Bot]) -> None:
        await context.send("pong")

    keep, platform = Keep(), Discord(bot=bot, token=fake.token, now=(noon := Noon()))
    dm = fake.dm(place.ada)
    async with running(platform, keep, fake):
        await noon.looked_at()
        await fake.say(dm, place.ada, "heard")
        await keep.next()
        back = await lose_the_session(fake)
        await fake.say(dm, place.ada, "!ping")
        await fake.say(dm, place.ada, "missed")
        await fake.gateway.drop(4000)
        await fake.until(back)
        assert [(await keep.next()).text for _ in range(2)] == ["heard", "missed"]
    assert not fake.posts


async def test_who_wants_no_old_questions_gets_none(fake: FakeDiscord, place: Place) -> None:
    keep = Keep()
    options = {"connector": fake.connector(), **HURRY}
    async with running(Discord(token=fake.token, client_options=options, catch_up=None), keep, fake):
        await fake.say(place.general, place.ada, f"{fake.bot.mention} heard")
        await keep.next()
        back = await lose_the_session(fake)
        await fake.say(place.general, place.ada, f"{fake.bot.mention} missed")
        await fake.gateway.drop(4000)
        await fake.until(back)
        await fake.say(place.general, place.ada, f"{fake.bot.mention} after")
        assert (await keep.next()).text == "after"
    assert not fake.requested("GET", "/messages")


def test_a_shard_that_did_not_catch_up_yet_goes_back_to_where_it_was() -> None:
    gaps = Gaps()
    gaps.began(0)
    assert gaps.newest_before(0) is None
    gaps.closed(0)
    gaps.heard(0, 5)
    gaps.heard(0, 4)
    gaps.began(0)
    gaps.heard(0, 9)
    gaps.began(0)
    assert (gaps.newest_before(0), gaps.newest_before(1)) == (5, None)
    gaps.closed(0)
    gaps.began(0)
    assert gaps.newest_before(0) == 9


def test_a_session_that_is_lost_right_at_the_first_start_is_a_gap_as_well() -> None:
    gaps = Gaps()
    gaps.began(0)
    gaps.heard(0, 3)
    gaps.heard(0, 4)
    assert (gaps.newest_before(0), gaps.first_before(0)) == (None, None)
    gaps.began(0)
    assert (gaps.newest_before(0), gaps.first_before(0)) == (None, 3)
    gaps.closed(0)
    gaps.began(0)
    assert (gaps.newest_before(0), gaps.first_before(0)) == (4, None)


_FIRST, _LAST = datetime(2016, 1, 1), datetime(2030, 1, 1)  # noqa: DTZ001 - hypothesis adds the time zone
times = st.datetimes(_FIRST, _LAST, timezones=st.just(UTC))


@given(st.none() | times, st.none() | times, times)
def test_nothing_older_than_allowed_is_read_nor_from_before_the_bot_was_there(
    newest: datetime | None, known_since: datetime | None, earliest: datetime
) -> None:
    after = read_from(None if newest is None else id_at(newest), known_since, earliest)
    if newest is None and known_since is None:
        assert after is None
        return
    assert after is not None
    written = discord.utils.snowflake_time(after)
    assert written >= earliest - timedelta(milliseconds=1)
    if newest is not None:
        assert written <= max(earliest, newest)
        assert written >= min(newest, newest - SLACK) - timedelta(milliseconds=1)
    elif known_since is not None:
        assert written >= known_since - timedelta(milliseconds=1)
