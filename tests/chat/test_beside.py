"""What waits beside a message is seen once when it is taken up, and again whenever there is news."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dspy
import pytest

from dspy_session import sessionify
from dspy_session.stores import Arrival, MemoryStore
from dspy_session_chat import Bot, Manners
from dspy_session_chat.beside import TOO_BUSY
from dspy_session_chat.platform import Said
from tests.chat.places import Place, message


class Held(dspy.Module):
    """Answers when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.started = asyncio.Event()

    async def aforward(self, message: str) -> dspy.Prediction:
        self.started.set()
        await self.gate.wait()
        return dspy.Prediction(reply=f"{message}!")


class ReadingBack(Place):
    """Takes its time to tell what was said before."""

    def __init__(self) -> None:
        super().__init__()
        self.reading = asyncio.Event()
        self.gate = asyncio.Event()

    async def said_before(self, inbound: Any, most: int) -> Sequence[Said]:
        self.reading.set()
        await self.gate.wait()
        return ()


@pytest.fixture(autouse=True)
def never_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dspy_session_chat.looking.LOOK_SECONDS", 3600.0)


def bot(agent: Held, place: Place, store: Any, **options: Any) -> Bot:
    return Bot(sessionify(agent, copy_mode="none"), platforms=[place], store=store, **options)


async def test_what_comes_between_the_first_look_and_the_turn_is_seen_at_once() -> None:
    agent, place = Held(), ReadingBack()
    async with bot(agent, place, "memory://", manners=Manners(read_back=1, busy="reject")):
        await place.say(message("one"))
        await place.reading.wait()
        await place.say(message("two"))
        place.gate.set()
        assert await place.posted(1) == [TOO_BUSY]
        agent.gate.set()
        assert await place.posted(2) == [TOO_BUSY, "one!"]


async def test_what_waited_already_is_seen_without_any_news(tmp_path: Path) -> None:
    agent, place, url = Held(), Place(), f"sqlite:///{tmp_path}/bot.db"
    async with bot(agent, place, url, grace=0.0):
        await place.say(message("one"))
        await agent.started.wait()
        await place.say(message("two"))
    later = Place()
    async with bot(agent, later, url, manners=Manners(busy="reject")):
        assert await later.posted(1) == [TOO_BUSY]
        agent.gate.set()
        assert await later.posted(2) == [TOO_BUSY, "one!"]


async def test_a_message_that_is_alone_takes_one_look_at_the_inbox() -> None:
    class Counted(MemoryStore):
        looks = 0

        async def pending(self, key: str) -> Sequence[Arrival]:
            self.looks += 1
            return await super().pending(key)

    agent, place, store = Held(), Place(), Counted()
    agent.gate.set()
    async with bot(agent, place, store):
        await place.say(message("one"))
        assert await place.posted(1) == ["one!"]
    assert store.looks == 1


class Watched(MemoryStore):
    """Counts how many rows are read of what waits."""

    rows = 0

    async def pending(self, key: str) -> Sequence[Arrival]:
        found = await super().pending(key)
        self.rows += len(found)
        return found


async def test_a_crowd_is_not_looked_at_anew_for_each_one_that_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dspy_session_chat.looking.CROWD", 10)
    agent, place, store = Held(), Place(), Watched()
    async with bot(agent, place, store, manners=Manners(most_waiting=1000)):
        await place.say(message("one"))
        await agent.started.wait()
        for number in range(200):
            await place.say(message("/help", f"e{number}"))
        assert store.rows < 200 * 200 / 4  # looking each time is half of that square
        agent.gate.set()
        await place.posted(1)
