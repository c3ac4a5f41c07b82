"""Connections that break, sessions that are lost, and what Discord should never send."""

from __future__ import annotations

import asyncio
import logging

import discord
import pytest

from dspy_session.errors import ConfigurationError, PlatformError
from dspy_session_discord import Discord, Shards
from dspy_session_discord.transport import connection, pace, starting
from dspy_session_discord.transport.pace import FREE, LONGEST, LONGEST_PAUSE, WINDOW, Pace, pause_after
from dspy_session_discord.transport.shards import spread_of
from tests.discord.conftest import Place
from tests.discord.talk import HURRY, INTENTS, Echo, Keep, PromptClient, own, running
from tests.loopback.discord import FakeDiscord

MALFORMED = [
    "{",
    "[]",
    '{"op": 0, "t": "MESSAGE_CREATE", "s": 3, "d": {"id": "1"}}',
    '{"op": 0, "t": "GUILD_CREATE", "s": 3, "d": {}}',
]
UNKNOWN = ['{"op": 77, "d": null, "s": null, "t": null}', '{"op": 0, "t": "SOMETHING_NEW", "s": 3, "d": {"x": [1]}}']


@pytest.fixture
def prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for."""
    monkeypatch.setattr(pace, "FIRST_PAUSE", 0.0)
    monkeypatch.setattr(starting, "BETWEEN_SECONDS", 0.0)
    monkeypatch.setattr(starting, "LEAST_WAIT", 0.02)
    monkeypatch.setattr(pace, "LONGEST", 0.0)


@pytest.mark.usefixtures("prompt")
async def test_what_cannot_be_read_ends_no_bot(
    fake: FakeDiscord, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    platform = own(fake)
    echo, dm = Echo(platform), fake.dm(place.ada)
    async with running(platform, echo, fake):
        for number, frame in enumerate(MALFORMED, 2):
            await fake.gateway.say(frame)
            await fake.until(lambda number=number: fake.gateway.identified == number and fake.gateway.live)
            await fake.until(lambda: len(fake.gateway.live) == 1)
        for frame in UNKNOWN:
            await fake.gateway.say(frame)
        await fake.gateway.ask_to_beat()
        await fake.say(dm, place.ada, "still there?")
        await fake.next_post()

    assert [inbound.text for inbound in echo.received] == ["still there?"]
    assert fake.gateway.identified == 1 + len(MALFORMED)
    ours = [one.getMessage() for one in caplog.records if one.name == connection.__name__]
    assert len(ours) == len(MALFORMED)
    assert all("was not understood, connecting anew" in line and "\n" not in line for line in ours)
    assert "the field 'id' is missing" in ours[3]


@pytest.mark.usefixtures("prompt")
async def test_sessions_are_resumed_begun_anew_and_lost_by_chance(fake: FakeDiscord, place: Place) -> None:
    platform = own(fake)
    echo, dm, gateway = Echo(platform), fake.dm(place.ada), fake.gateway
    async with running(platform, echo, fake):
        await gateway.ask_to_resume()
        await fake.until(lambda: gateway.resumed == 1 and gateway.live)
        gateway.hang_ups = 8  # each time that it has come back
        await gateway.drop(4000)
        await fake.until(lambda: not gateway.hang_ups)
        await fake.until(lambda: gateway.resumed == 10 and gateway.live)
        assert gateway.identified == 1
        gateway.sessions.clear()  # what is resumed is not known any more
        gateway.too_fast = 1
        await gateway.drop(4009)
        await fake.until(lambda: gateway.identified == 2)
        for session in gateway.live:
            session.events.clear()  # the sequence is not known any more: 4007
        await gateway.drop(4000)
        await fake.until(lambda: gateway.identified == 3)
        await fake.say(dm, place.ada, "still there?")
        await fake.next_post()

    assert [inbound.text for inbound in echo.received] == ["still there?"]


@pytest.mark.usefixtures("prompt")
async def test_where_no_session_may_be_started_the_bot_waits(
    fake: FakeDiscord, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    gateway, platform, keep = fake.gateway, own(fake), Keep()
    gateway.starts_left, gateway.starts_again_ms = 0, 0
    run = asyncio.create_task(platform.run(keep))
    await fake.until(lambda: fake.requested("GET", "/gateway/bot") > 1)
    assert not gateway.connections
    gateway.starts_left = 1
    await fake.connected()

    await gateway.forget_sessions()  # and none is left
    asked = fake.requested("GET", "/gateway/bot")
    await fake.until(lambda: fake.requested("GET", "/gateway/bot") > asked + 2)
    assert (gateway.identified, gateway.overdrawn, gateway.live) == (1, False, [])
    gateway.starts_left = 1
    await fake.until(lambda: gateway.identified == 2)
    await fake.say(fake.dm(place.ada), place.ada, "hi")
    await keep.next()  # who is cancelled while it connects leaves discord.py's thread of heartbeats behind
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)

    lines = [one.getMessage() for one in caplog.records if one.levelno == logging.ERROR and "starting" in one.name]
    assert "no more sessions today; connecting again in 0 minutes" in lines[0]
    assert not any("\n" in line for line in lines)


@pytest.mark.usefixtures("prompt")
async def test_how_many_sessions_may_be_started_need_not_be_known(fake: FakeDiscord) -> None:
    fake.refuse("GET", "/gateway/bot", 503, "down")
    async with running(own(fake), Keep(), fake):
        pass
    assert fake.gateway.identified == 1


@pytest.mark.usefixtures("prompt")
async def test_a_client_that_was_joined_outlives_what_it_cannot_read(fake: FakeDiscord, place: Place) -> None:
    client = PromptClient(intents=INTENTS, connector=fake.connector(), **HURRY)
    platform = Discord(bot=client, token=fake.token)
    echo = Echo(platform)
    async with running(platform, echo, fake):
        await fake.gateway.say("{")
        await fake.until(lambda: fake.gateway.identified == 2)
        await fake.say(fake.dm(place.ada), place.ada, "still there?")
        await fake.next_post()


@pytest.mark.parametrize("kind", [starting.StartingClient, starting.StartingShards])
async def test_a_client_that_is_closed_tells_nobody_of_what_comes_too_late(kind: type[discord.Client]) -> None:
    told = []
    client = kind(intents=INTENTS)

    @client.event
    async def on_ready() -> None:
        told.append("ready")

    async with client:
        client.dispatch("ready")
        await asyncio.sleep(0)
    client.dispatch("ready")
    assert told == ["ready"]


def test_connections_that_are_lost_at_once_follow_each_other_more_and_more_slowly() -> None:
    paced = Pace()
    pauses = [paced.pause(0.0) for _ in range(FREE + 7)]
    assert pauses == [0.0] * FREE + [1.0, 2.0, 4.0, 8.0, 16.0, LONGEST, LONGEST]
    assert paced.pause(LONGEST + WINDOW) == 0.0
    assert [Pace(shards=2).pause(0.0) for _ in range(2 * FREE)] == [0.0] * 2 * FREE


def test_connections_that_break_are_made_anew_more_and_more_slowly() -> None:
    pause, pauses = 0.0, []
    for _ in range(11):
        pause = pause_after(pause, lasted=1.0)
        pauses.append(pause)
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, LONGEST_PAUSE, LONGEST_PAUSE]
    assert pause_after(pause, lasted=LONGEST_PAUSE + 1) == 1.0


@pytest.mark.parametrize(
    ("ids", "of", "line"),
    [
        ((0, 4), 4, "from 0 to 3"),
        ((), 4, "from 0 to 3"),
        ((1, 1), 4, "each once"),
        ((-1,), 4, "from 0 to 3"),
        (0, 4, "from 0 to 3"),
        ("01", 4, "from 0 to 3"),
        ((0,), 0, "1 or more"),
    ],
)
def test_shards_that_are_none_are_told_in_one_line(ids: object, of: int, line: str) -> None:
    with pytest.raises(ConfigurationError, match=line):
        Shards(ids, of=of)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("written", "spread"),
    [
        ("auto", "auto"),
        (" 0,1/4 ", Shards([0, 1], of=4)),
        ("0-1/4", Shards([0, 1], of=4)),
        ("0, 2-3 / 4", Shards([0, 2, 3], of=4)),
    ],
)
def test_shards_as_they_stand_in_an_environment(written: str, spread: object) -> None:
    assert spread_of(written) == spread


@pytest.mark.parametrize(
    ("written", "line"),
    [
        ("", "write auto"),
        ("all", "write auto"),
        ("1", "write auto"),
        ("-1/4", "write auto"),
        ("0-4/4", "from 0 to 3"),
        ("0-99999999999/4", "from 0 to 3"),
        ("2-1/4", "from 0 to 3"),
        ("0/0", "1 or more"),
    ],
)
def test_what_stands_there_and_is_no_shards(written: str, line: str) -> None:
    with pytest.raises(ConfigurationError, match=line):
        spread_of(written)


def test_options_that_do_not_fit() -> None:
    with pytest.raises(ConfigurationError, match=r'"auto", Shards'):
        Discord(token="unused", shards=2)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="your bot has its own"):
        Discord(bot=discord.Client(intents=INTENTS), shards="auto")
    with pytest.raises(ConfigurationError, match="'soon' is no time"):
        Discord(token="unused", catch_up="soon")


async def test_the_servers_of_a_big_bot_need_shards(fake: FakeDiscord) -> None:
    fake.gateway.must_shard = True
    with pytest.raises(PlatformError, match='shards="auto"'):
        await own(fake).run(Keep())
