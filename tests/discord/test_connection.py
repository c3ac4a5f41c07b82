"""Coming up, staying up, going down."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import suppress

import aiohttp
import discord
import pytest

from dspy_session.errors import ConfigurationError, PlatformError
from dspy_session_discord import Discord, refusal
from dspy_session_discord.transport import login, pace
from tests.chat.places import saying
from tests.discord.conftest import Place
from tests.discord.talk import HURRY, INTENTS, Echo, Keep, LastingConnector, PromptClient, echoing, own, running
from tests.loopback.discord import FakeDiscord


def one_line(error: pytest.ExceptionInfo[PlatformError]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("token", [None, "", "  \n"])
async def test_no_token_is_said_in_one_line(token: str | None) -> None:
    with pytest.raises(PlatformError, match=r"needs a token.*developers/applications") as error:
        await Discord(token=token).run(Keep())
    one_line(error)


@pytest.mark.parametrize("token", ["Bot abc", "ab\ncd", "töken", "xoxb-1-abc"])
async def test_a_token_that_cannot_be_one_is_never_sent(token: str) -> None:
    with pytest.raises(PlatformError, match=r"characters that no token has|those have three parts") as error:
        await Discord(token=token).run(Keep())
    assert token not in one_line(error)


async def test_a_refused_token_is_said_in_one_line_that_does_not_hold_it(
    fake: FakeDiscord, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = "somebody.elses-secret.token"
    platform = Discord(token=token, client_options={"connector": fake.connector()})

    with pytest.raises(PlatformError, match=r"refuses the token.*Reset Token") as error:
        await platform.run(Keep())

    assert token not in one_line(error) + repr(platform) + caplog.text
    assert error.value.__suppress_context__


async def test_white_space_around_a_token_is_forgiven(fake: FakeDiscord) -> None:
    platform = Discord(token=f" {fake.token}\n", client_options={"connector": fake.connector(), **HURRY})
    async with running(platform, Keep(), fake):
        assert fake.gateway.identified == 1


async def test_the_token_is_in_no_log_and_no_repr_of_a_running_bot(
    fake: FakeDiscord, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    platform = own(fake)
    async with running(platform, Echo(platform), fake):
        await fake.say(fake.dm(place.ada), place.ada, "hi")
        await fake.next_post()

    assert fake.token not in caplog.text + repr(platform)


async def test_a_token_that_is_reset_meanwhile_ends_the_run(fake: FakeDiscord) -> None:
    run = asyncio.create_task(own(fake).run(Keep()))
    await fake.connected()
    fake.token = "another.not-a-secret.token"
    await fake.gateway.drop()

    with pytest.raises(PlatformError, match="refuses the token"):
        await run


@pytest.mark.parametrize(
    ("code", "line"),
    [
        (4004, "refuses the token"),
        (4010, r"no such shard.*Shards\("),
        (4011, 'shards="auto"'),
        (4012, "pip install -U"),
        (4013, "the intents that the bot asks for"),
        (4014, "Privileged Gateway Intents"),
    ],
)
async def test_a_connection_that_discord_ends_for_good_ends_the_run(fake: FakeDiscord, code: int, line: str) -> None:
    run = asyncio.create_task(own(fake).run(Keep()))
    await fake.connected()
    await fake.gateway.drop(code)

    with pytest.raises(PlatformError, match=line) as error:
        await run
    one_line(error)


@pytest.mark.parametrize("joined", [False, True])
async def test_while_discord_cannot_be_reached_at_the_start_the_bot_tries_again(
    fake: FakeDiscord,
    place: Place,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    joined: bool,
) -> None:
    monkeypatch.setattr(pace, "FIRST_PAUSE", 0.0)
    monkeypatch.setattr(refusal, "TURNED_AWAY_SECONDS", 0.01)
    fake.refuse("GET", "/users/@me", 503, "<html>\ndown</html>")
    fake.refuse("GET", "/users/@me", 429, "<html>error 1015</html>")
    fake.refuse("GET", "/oauth2/applications/@me", 503, "down")
    lasting = LastingConnector(resolver=fake.resolver(), ssl=fake.trust())
    platform = own(fake, connector=lasting)
    if joined:
        platform = Discord(bot=discord.Client(intents=INTENTS, connector=lasting, **HURRY), token=fake.token)
    async with running(platform, Echo(platform), fake):
        await fake.say(fake.dm(place.ada), place.ada, "hi")
        assert (await fake.next_post()).content == "echo: hi"
    await lasting.close_for_good()

    lines = [record.getMessage() for record in caplog.records if record.name == login.__name__]
    assert [line.startswith("The bot logs in again in 0 s: ") for line in lines] == [True] * 3
    assert "it answered 503" in lines[0]
    assert "too many requests" in lines[1]
    assert "\n" not in "".join(lines)


async def test_what_fails_of_a_bot_that_has_logged_in_is_told_as_it_is(fake: FakeDiscord) -> None:
    class Mine(discord.Client):
        async def setup_hook(self) -> None:
            raise ConnectionRefusedError("my database is down")

    bot = Mine(intents=INTENTS, connector=fake.connector(), **HURRY)
    with pytest.raises(ConnectionRefusedError, match="my database"):
        await Discord(bot=bot, token=fake.token).run(Keep())


async def test_an_outage_at_the_start_ends_a_bot_whose_connector_serves_once(fake: FakeDiscord) -> None:
    fake.cut("GET", "/users/@me", times=9)
    with pytest.raises(PlatformError, match=r"Cannot reach Discord.*network, the proxy") as error:
        await own(fake).run(Keep())
    one_line(error)


async def test_a_certificate_that_is_not_discords_is_refused(fake: FakeDiscord) -> None:
    own_trust = aiohttp.TCPConnector(resolver=fake.resolver())
    with pytest.raises(PlatformError, match=r"Cannot reach Discord.*(?i:certificate)"):
        await own(fake, connector=own_trust).run(Keep())


async def test_without_message_content_the_bot_answers_direct_messages_and_mentions(
    fake: FakeDiscord, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    fake.message_content = False
    async with echoing(fake) as echo:
        await fake.say(fake.dm(place.ada), place.ada, "in private")
        await fake.next_post()
        await fake.say(place.general, place.ada, f"{fake.bot.mention} in public")
        thread = (await fake.next_post()).channel
        await fake.say(thread, place.ada, "this the bot cannot read")
        await fake.say(thread, place.ada, f"{fake.bot.mention} this it can")
        await fake.next_post()

    assert [inbound.text for inbound in echo.received] == ["in private", "in public", "this it can"]
    (warning,) = [record for record in caplog.records if record.name.startswith("dspy_session_discord")]
    assert "Message Content Intent" in warning.getMessage()
    assert "\n" not in warning.getMessage()


async def test_intents_that_discord_does_not_grant_are_said_in_one_line(fake: FakeDiscord) -> None:
    fake.message_content = False
    with pytest.raises(PlatformError, match="Privileged Gateway Intents") as error:
        await own(fake, intents=INTENTS).run(Keep())
    one_line(error)


async def test_the_bot_asks_for_no_more_than_it_needs(fake: FakeDiscord) -> None:
    async with running(own(fake), Keep(), fake):
        (session,) = fake.gateway.live

    assert {intent.name for intent in session.intents} == {
        "GUILDS",
        "GUILD_MESSAGES",
        "DIRECT_MESSAGES",
        "GUILD_MESSAGE_REACTIONS",
        "DIRECT_MESSAGE_REACTIONS",
        "MESSAGE_CONTENT",
    }


@pytest.mark.parametrize("code", [None, 1000, 4000, 4009])
async def test_what_was_written_while_the_connection_was_down_is_answered(
    fake: FakeDiscord, place: Place, code: int | None
) -> None:
    dm = fake.dm(place.ada)
    async with echoing(fake) as echo:
        await fake.say(dm, place.ada, "before")
        await fake.next_post()
        await fake.gateway.drop(code)
        await fake.say(dm, place.ada, "meanwhile")
        await fake.next_post()
        await fake.gateway.ask_to_reconnect()
        await fake.say(dm, place.ada, "after")
        await fake.next_post()

    assert [inbound.text for inbound in echo.received] == ["before", "meanwhile", "after"]
    assert (fake.gateway.identified, fake.gateway.resumed) == (1, 2)


async def test_a_session_that_discord_forgot_is_made_anew(fake: FakeDiscord, place: Place) -> None:
    client = PromptClient(intents=INTENTS, connector=fake.connector(), **HURRY)
    platform = Discord(bot=client, token=fake.token)
    echo = Echo(platform)
    async with running(platform, echo, fake):
        await fake.gateway.forget_sessions()
        await fake.until(lambda: fake.gateway.identified == 2)
        await fake.say(place.general, place.ada, f"{fake.bot.mention} still there?")
        answer = await fake.next_post()

    assert answer.channel.is_thread


async def test_a_gateway_that_stops_answering_is_left_and_joined_again(place: Place, fake: FakeDiscord) -> None:
    fake.gateway.heartbeat_ms = 50
    async with running(own(fake, heartbeat_timeout=0.3), Keep(), fake):
        fake.gateway.answers_beats = False
        await fake.until(lambda: fake.gateway.resumed)


async def test_a_receiver_that_fails_does_not_keep_the_next_message_away(
    fake: FakeDiscord, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    keep = Keep()
    failing = True

    async def receive(inbound: object) -> None:
        nonlocal failing
        if failing:
            failing = False
            raise OSError("the disk is full")
        await keep(inbound)  # type: ignore[arg-type]

    async with running(own(fake), receive, fake):
        await fake.say(fake.dm(place.ada), place.ada, "lost")
        await fake.say(fake.dm(place.ada), place.ada, "kept")
        assert (await keep.next()).text == "kept"

    assert "was not taken over" in caplog.text
    assert "the disk is full" in caplog.text


async def test_cancelling_the_run_closes_what_it_opened(fake: FakeDiscord, place: Place) -> None:
    threads = set(threading.enumerate())
    others = asyncio.all_tasks()
    waiting = asyncio.Event()
    tidied: list[bool] = []

    async def receive(_: object) -> None:
        waiting.set()
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(3):
                await asyncio.sleep(0)  # a receiver may have things to put away
            tidied.append(not client.is_closed())

    client = discord.Client(intents=INTENTS, connector=fake.connector(), **HURRY)
    platform = Discord(bot=client, token=fake.token)
    run = asyncio.create_task(platform.run(receive))
    await fake.connected()
    await client.wait_until_ready()
    await fake.say(fake.dm(place.ada), place.ada, "hi")
    await waiting.wait()
    run.cancel()
    with suppress(asyncio.CancelledError):
        await run

    assert tidied == [True]
    assert client.is_closed()
    await fake.until(lambda: not fake.gateway.live)
    left = {getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks() - others}
    assert left <= {"RequestHandler.start"}  # the fake's own, which ends when it sees the connection gone
    for heartbeat in set(threading.enumerate()) - threads:
        heartbeat.join(timeout=5)
        assert not heartbeat.is_alive()


async def test_a_platform_runs_once_at_a_time_and_as_often_as_its_connector_lives(fake: FakeDiscord) -> None:
    platform = own(fake)
    async with running(platform, Keep(), fake):
        with pytest.raises(ConfigurationError, match="running already"):
            await platform.run(Keep())

    with pytest.raises(ConfigurationError, match="connector in client_options was closed"):
        await platform.run(Keep())


async def test_a_client_that_was_closed_cannot_be_joined(fake: FakeDiscord) -> None:
    client = discord.Client(intents=INTENTS, connector=fake.connector(), **HURRY)
    platform = Discord(bot=client, token=fake.token)
    async with running(platform, Keep(), fake):
        pass

    with pytest.raises(ConfigurationError, match="the bot was closed"):
        await platform.run(Keep())


async def test_an_answer_that_waits_for_a_run_that_fails_is_refused_with_it(fake: FakeDiscord, place: Place) -> None:
    keep = Keep()
    async with running(own(fake), keep, fake):
        await fake.say(fake.dm(place.ada), place.ada, "hi")
        inbound = await keep.next()
    platform = Discord(token="a.wrong.token", client_options={"connector": fake.connector()})
    run = asyncio.create_task(platform.run(keep))
    await asyncio.sleep(0)  # the run has begun, and nothing else

    with pytest.raises(PlatformError, match="not connected"):
        await platform.post(saying(inbound, "never"))
    with pytest.raises(PlatformError, match="refuses the token"):
        await run
