"""What people say and do while the store is down."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

import pytest

from dspy_session.errors import StoreError
from dspy_session_chat.action import Action, Edit, Event
from dspy_session_chat.inbound import Inbound
from dspy_session_discord.inbound import insisting
from dspy_session_discord.inbound.insisting import Insisting
from tests.chat.places import message
from tests.discord.conftest import Place
from tests.discord.talk import Keep, own, running
from tests.loopback.discord import FakeDiscord


class Down(Keep):
    """Takes nothing as long as the store is down, and tells after how many tries it is up again."""

    def __init__(self, tries: int) -> None:
        super().__init__()
        self.tries = tries
        self.tried: list[str] = []
        self.taken: list[str] = []
        self.news = asyncio.Event()

    async def __call__(self, event: Event) -> None:
        self.tried.append(event.event_id)
        self.news.set()
        await asyncio.sleep(0)
        if self.tries:
            self.tries -= 1
            raise StoreError("the database is down")
        self.taken.append(event.event_id)
        await super().__call__(event)


@pytest.fixture
def prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(insisting, "FIRST_PAUSE", 0.0)


@pytest.mark.usefixtures("prompt")
async def test_what_is_said_and_changed_while_the_store_is_down_is_taken_once_it_is_up(
    fake: FakeDiscord, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    down = Down(tries=7)
    dm = fake.dm(place.ada)
    async with running(own(fake), down, fake):
        said = await fake.say(dm, place.ada, "one")
        await fake.edit(said, "two")
        await fake.say(dm, place.ada, "three")
        first, second, third = [await down.event() for _ in range(3)]
    assert isinstance(first, Inbound)
    assert first.text == "one"
    assert isinstance(second, Action)
    assert isinstance(second.deed, Edit)
    assert isinstance(third, Inbound)
    assert third.text == "three"
    assert "the database is down" in caplog.text
    assert "was not taken over" not in caplog.text


@pytest.mark.usefixtures("prompt")
async def test_who_is_turned_away_waits_in_line_and_the_others_do_not() -> None:
    down = Down(tries=3)
    insist = Insisting(down)
    await insist(message("one"))
    down.tries = 2
    await asyncio.gather(*(insist(message(f"m{number}")) for number in range(4)))
    assert down.taken == ["one", "m2", "m3", "m0", "m1"]
    assert len(down.tried) == 3 + 1 + 2 + 4


async def test_a_store_that_stays_down_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(insisting, "PATIENCE", 0.0)
    down = Down(tries=100)
    with pytest.raises(StoreError, match="database is down"):
        await Insisting(down)(message("one"))
    assert down.tried == ["one", "one"]


async def test_no_more_wait_for_the_store_than_memory_has_place_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(insisting, "MOST_KEPT", 1)
    down = Down(tries=10)
    insist = Insisting(down)
    first = asyncio.create_task(insist(message("one")))
    await _until(lambda: len(down.tried) == 2, down)
    with pytest.raises(StoreError, match="1 events wait for the store already"):
        await insist(message("two"))
    first.cancel()
    with suppress(asyncio.CancelledError):
        await first


async def test_what_still_waits_when_the_bot_stops_is_told(
    fake: FakeDiscord, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    down = Down(tries=10)
    with caplog.at_level(logging.ERROR):
        async with running(own(fake), down, fake):
            said = await fake.say(fake.dm(place.ada), place.ada, "one")
            await _until(lambda: len(down.tried) == 2, down)
    assert f"{said.id} is lost: the bot stops" in caplog.text


async def test_what_goes_wrong_otherwise_is_tried_once() -> None:
    tried: list[Event] = []

    async def broken(event: Event) -> None:
        tried.append(event)
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        await Insisting(broken)(message("one"))
    assert len(tried) == 1


async def _until(condition: Callable[[], bool], down: Down) -> None:
    async with asyncio.timeout(10):
        while not condition():
            down.news.clear()
            await down.news.wait()
