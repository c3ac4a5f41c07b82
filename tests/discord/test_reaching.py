"""Requests that do not arrive, whose answers do not come, or that Discord does not want."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import discord
import pytest

from dspy_session.errors import PlatformError, PlatformUnavailableError
from dspy_session_chat.platform import PostedInPartError
from dspy_session_chat.reply import Button
from dspy_session_discord import Discord
from dspy_session_discord.refusal import TURNED_AWAY_SECONDS, turned_away_for
from dspy_session_discord.transport import reaching
from dspy_session_discord.transport.budget import KEPT, Budget
from dspy_session_discord.transport.reaching import Reaching
from tests.chat.places import saying
from tests.discord.conftest import Place
from tests.discord.talk import INTENTS, Keep, PromptClient, own, running
from tests.loopback.discord import FakeDiscord
from tests.loopback.discord.buckets import Bucket
from tests.loopback.discord.faults import Fault, turned_away

MESSAGES = "/channels/*/messages"
STOP = [Button("stop", "Stop")]


async def test_a_message_of_which_it_is_not_known_whether_it_arrived_is_there_once(
    fake: FakeDiscord, place: Place
) -> None:
    keep, platform = Keep(), own(fake)
    async with running(platform, keep, fake):
        await fake.say(fake.dm(place.ada), place.ada, "hi")
        inbound = await keep.next()
        fake.cut("POST", MESSAGES, when="after")
        with pytest.raises(PlatformUnavailableError):
            await platform.begin(inbound, "hel", STOP)
        fake.cut("PATCH", f"{MESSAGES}/*")
        with pytest.raises(PostedInPartError) as failed:
            await platform.post(saying(inbound, "hello"))
        posted = await platform.post(replace(saying(inbound, "hello"), shown=failed.value.message_ids))
        again = await platform.post(saying(inbound, "and more", turn_id="t2"))

    assert failed.value.message_ids == posted.message_ids
    assert [(post.content, post.buttons) for post in fake.posts] == [("hello", {}), ("and more", {})]
    assert [str(post.id) for post in fake.posts] == [*posted.message_ids, *again.message_ids]


async def test_an_answer_that_does_not_come_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reaching, "SECONDS", 0.0)
    with pytest.raises(PlatformUnavailableError, match="did not take the answer: no answer came"):
        async with Reaching().told():
            await asyncio.Event().wait()


async def test_who_no_longer_waits_for_an_answer_posts_again_and_it_is_there_once(
    fake: FakeDiscord, place: Place
) -> None:
    keep, platform = Keep(), own(fake)
    async with running(platform, keep, fake):
        await fake.say(fake.dm(place.ada), place.ada, "hi")
        inbound = await keep.next()
        fake.faults.add(Fault("POST", MESSAGES, 0, when="after"))
        waiting = asyncio.create_task(platform.post(saying(inbound, "hello")))
        await fake.until(lambda: fake.posts)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        posted = await platform.post(saying(inbound, "hello"))

    assert [str(post.id) for post in fake.posts] == [*posted.message_ids]


async def test_where_cloudflare_turns_the_bot_away_it_asks_no_more(fake: FakeDiscord, place: Place) -> None:
    keep, platform = Keep(), own(fake)
    async with running(platform, keep, fake):
        await fake.say(fake.dm(place.ada), place.ada, "hi")
        inbound = await keep.next()
        fake.faults.add(turned_away("POST", MESSAGES, retry_after=3600))
        with pytest.raises(PlatformUnavailableError, match="Cloudflare's error 1015"):
            await platform.post(saying(inbound, "hello"))
        requests = len(fake.requests)
        with pytest.raises(PlatformUnavailableError, match=r"turns this address away, for 3\d{3} s more"):
            await platform.post(saying(inbound, "hello"))
        assert await platform.said_before(inbound, 3) == ()

    assert len(fake.requests) == requests


@pytest.mark.parametrize(
    ("body", "headers", "seconds"),
    [
        ("<!doctype html>", {}, TURNED_AWAY_SECONDS),
        ("<!doctype html>", {"Retry-After": "7"}, 7.0),
        ("<!doctype html>", {"Retry-After": "Thu, 01 Jan 2026 00:00:00 GMT"}, TURNED_AWAY_SECONDS),
        ({"message": "slower", "code": 40062}, {}, 0.0),
    ],
)
async def test_how_long_the_bot_is_turned_away(
    fake: FakeDiscord, body: dict[str, object] | str, headers: dict[str, str], seconds: float
) -> None:
    fake.faults.add(Fault("GET", "/users/@me", 429, body, headers))
    async with discord.Client(intents=INTENTS, connector=fake.connector()) as client:
        with pytest.raises(discord.HTTPException) as refused:
            await client.login(fake.token)
    assert turned_away_for(refused.value) == seconds
    assert turned_away_for(OSError()) == 0.0
    Reaching().see_that_it_may(0.0)


async def test_the_limit_of_all_requests_together_is_waited_out(fake: FakeDiscord, place: Place) -> None:
    keep, platform = Keep(), own(fake)
    async with running(platform, keep, fake):
        for person in (place.ada, place.bob):
            await fake.say(fake.dm(person), person, "hi")
        inbounds = [await keep.next() for _ in range(2)]
        fake.limit("POST", MESSAGES, retry_after=0.02, everywhere=True)
        await asyncio.gather(*(platform.post(saying(inbound, inbound.author.name)) for inbound in inbounds))

    assert sorted(post.content for post in fake.posts) == ["Ada", "Bob"]
    assert fake.requested("POST", "/messages") == 3


async def test_a_growing_answer_leaves_the_last_edits_for_its_end(fake: FakeDiscord, place: Place) -> None:
    keep, platform = Keep(), own(fake)
    bucket = Bucket("PATCH", f"{MESSAGES}/*", requests=5, seconds=3600.0)
    fake.buckets.add(bucket)
    async with running(platform, keep, fake):
        await fake.say(fake.dm(place.ada), place.ada, "hi")
        inbound = await keep.next()
        shown = await platform.begin(inbound, "0", STOP)
        for number in range(1, 10):
            await platform.edit(inbound, shown, str(number), STOP)
        grown = [edited.content for edited in fake.posts]
        await platform.post(replace(saying(inbound, "the whole answer"), shown=(shown,)))

    assert len(fake.edits) == bucket.requests - KEPT + 1
    assert grown == ["3"]
    assert [post.content for post in fake.posts] == ["the whole answer"]
    assert not bucket.emptied


async def test_a_client_of_ones_own_edits_as_often_as_it_is_asked(fake: FakeDiscord, place: Place) -> None:
    client = PromptClient(intents=INTENTS, connector=fake.connector(), guild_ready_timeout=0.01)
    keep, platform = Keep(), Discord(bot=client, token=fake.token)
    fake.buckets.add(Bucket("PATCH", f"{MESSAGES}/*", requests=9, seconds=3600.0))
    async with running(platform, keep, fake):
        await fake.say(fake.dm(place.ada), place.ada, "hi")
        inbound = await keep.next()
        shown = await platform.begin(inbound, "0", STOP)
        for number in range(1, 9):
            await platform.edit(inbound, shown, str(number), STOP)
    assert len(fake.edits) == 8


@pytest.mark.parametrize(("status", "code"), [(401, 0), (403, 50001)])
async def test_what_is_refused_for_good_is_asked_once(fake: FakeDiscord, place: Place, status: int, code: int) -> None:
    keep, platform = Keep(), own(fake)
    async with running(platform, keep, fake):
        await fake.say(fake.dm(place.ada), place.ada, "hi")
        fake.refuse("POST", MESSAGES, status, {"message": "no", "code": code}, times=9)
        with pytest.raises(PlatformError) as refused:
            await platform.post(saying(await keep.next(), "hello"))
    assert not isinstance(refused.value, PlatformUnavailableError)
    assert fake.requested("POST", "/messages") == 1


def test_edits_are_counted_in_each_channel_by_what_answers_say() -> None:
    budget = Budget()
    headers = {"X-RateLimit-Remaining": "2", "X-RateLimit-Reset-After": "5"}
    for method, path, told in (
        ("POST", "/api/v10/channels/1/messages", headers),
        ("PATCH", "/api/v10/channels/1", headers),
        ("PATCH", "/api/v10/channels/1/messages/9", {}),
        ("PATCH", "/api/v10/channels/1/messages/9", {**headers, "X-RateLimit-Remaining": "many"}),
        ("PATCH", "/api/v10/channels/1/messages/9", {**headers, "X-RateLimit-Remaining": "3"}),
    ):
        budget.answered(method, path, told, 0.0)
        assert not budget.is_scarce(1, 0.0)
    budget.answered("PATCH", "/api/v10/channels/1/messages/9", headers, 0.0)
    assert [budget.is_scarce(channel, now) for channel, now in ((1, 4.9), (1, 5.0), (2, 0.0))] == [True, False, False]
