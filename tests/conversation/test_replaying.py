"""Told again, an event is what it was the first time: the same id, the same bytes, in the same order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import dspy
import pydantic
import pytest

from dspy_session import StateFileError, sessionify
from dspy_session.conversation import Conversations, TurnRequest
from dspy_session.conversation.envelope import Selection, delivery
from dspy_session.conversation.replaying import as_kept, events_of
from dspy_session.stores import Delivery, Entry
from tests.conversation.scripted_sink import ScriptedSink


class Verdict(pydantic.BaseModel):
    sure: bool
    tags: set[str] = set()


class Agent(dspy.Module):
    """Answers; asks its own session first when it is told to ask."""

    ask: Any = None

    async def aforward(self, message: str, history: dspy.History) -> dspy.Prediction:
        if message.startswith("ask "):
            await self.ask(message=message.removeprefix("ask "))
        if message == "fail":
            raise RuntimeError(message)
        return dspy.Prediction(reply=message.upper(), verdict=Verdict(sure=True, tags={"a"}), pair=(1, {"$type": 2}))


class Recording(ScriptedSink):
    """Keeps what it was asked to encode."""

    def __init__(self) -> None:
        super().__init__()
        self.first: dict[str, list[Delivery]] = {}

    def encode(self, event):
        made = super().encode(event)
        self.first.setdefault(event.key, []).append(made)
        return made


@pytest.fixture
def sink() -> Recording:
    return Recording()


@pytest.fixture
async def chats(sink: Recording) -> AsyncIterator[Conversations]:
    agent = Agent()
    session = sessionify(agent, copy_mode="none")
    agent.ask = session.acall  # a session of its own as an attribute would be a circle
    async with Conversations(session, "memory://", sinks=[sink], agent_version="7") as conversations:
        yield conversations


async def journal(chats: Conversations, key: str) -> list[Entry]:
    return [entry async for entry in chats.store.entries(key)]


async def again(chats: Conversations, key: str) -> list[Delivery]:
    told = events_of(key, await journal(chats, key))
    made = [delivery("crm", event, Selection.of(encode=as_kept)) for event in told]
    return [each for each in made if each is not None]


async def take(chats: Conversations, key: str, message: str) -> Any:
    request = TurnRequest(key, {"message": message}, author="U1", author_name="Ann", user="slack:T1:U1")
    async with chats.turn(request) as turn:
        assert turn is not None
        await turn.run()
        return turn.committed


async def test_everything_that_happens(chats: Conversations, sink: Recording) -> None:
    for message in ("one", "two", "ask for more", "four \ud800"):
        await take(chats, "a", message)
    with pytest.raises(RuntimeError):
        await take(chats, "a", "fail")
    second = (await chats.state("a")).turns[1]
    await chats.score("a", second.id, 0.5, by="U2", text="well", source="button")
    await chats.score("a", second.id, None)
    await chats.edit("a", second.id, outputs={"reply": "changed"})
    await chats.undo("a", 2)
    await chats.undo("a", 1)
    await take(chats, "a", "five")
    await chats.undo("a", 9)
    await take(chats, "a", "six")
    await chats.reset("a")
    await take(chats, "a", "seven")
    await chats.undo("a")
    told = await again(chats, "a")
    assert len(told) == 15
    assert told == sink.first["a"]


async def test_a_turn_inside_a_turn_is_not_told(chats: Conversations, sink: Recording) -> None:
    await take(chats, "a", "ask inside")
    assert [turn.inputs["message"] for turn in await chats.past_turns("a")] == ["inside", "ask inside"]
    assert await again(chats, "a") == sink.first["a"]
    assert len(sink.first["a"]) == 1


async def test_turns_of_one_moment_are_all_told(sink: Recording) -> None:
    """On a clock that is too coarse to tell them apart."""
    session = sessionify(Agent(), copy_mode="none")
    async with Conversations(session, "memory://", sinks=[sink], clock=lambda: 1.8e9) as chats:
        for message in ("one", "two", "three"):
            await chats.acall("a", message=message)
        assert await again(chats, "a") == sink.first["a"]
    assert len(sink.first["a"]) == 3


async def test_a_fork_tells_what_is_its_own(chats: Conversations, sink: Recording) -> None:
    await take(chats, "a", "one")
    await take(chats, "a", "two")
    await chats.fork("a", "b")
    await take(chats, "b", "three")
    await chats.undo("b", 2)
    await chats.fork("b", "c")
    await chats.undo("c", 2)
    for key in "abc":
        assert await again(chats, key) == sink.first[key]


async def test_an_agent_that_begins_with_a_seed(sink: Recording) -> None:
    seed = dspy.History(messages=[{"message": "hi", "reply": "HI"}])
    session = sessionify(Agent(), copy_mode="none", initial_history=seed)
    async with Conversations(session, "memory://", sinks=[sink]) as chats:
        await chats.acall("a", message="one")
        await chats.acall("a", message="two")
        await chats.undo("a", 1)
        assert await again(chats, "a") == sink.first["a"]


async def test_what_was_forgotten_is_not_told(chats: Conversations, sink: Recording) -> None:
    for message in ("one", "two", "three"):
        await take(chats, "a", message)
    [_, middle, _] = (await chats.state("a")).turns
    await chats.score("a", middle.id, 1.0)
    await chats.undo("a", 2)
    entries = await journal(chats, "a")
    blank = {number: replace(entries[number], kind="forgotten", body="{}", author="", about=None) for number in (1, 3)}
    told = list(events_of("a", [blank.get(number, entry) for number, entry in enumerate(entries)]))
    assert [event.turn.inputs["message"] for event in told[:2]] == ["one", "three"]
    [undone] = told[2:]
    assert undone.id == "conversation.undone:a:4"
    assert undone.details == {"turn_ids": [sink.first["a"][2].id.removeprefix("turn_")]}
    assert await chats.forget_user("slack:T1:U1") == 1
    assert [event.id for event in events_of("a", await journal(chats, "a"))] == ["conversation.undone:a:4"]


@pytest.mark.parametrize(
    "body", ["", "[]", "sealed1:k:…", '{"index": 0}', '{"inputs": 1, "outputs": {}}', "[" * 100_000]
)
def test_a_damaged_entry_is_named(body: str) -> None:
    with pytest.raises(StateFileError, match=r"conversation 'a': entry 0 \(turn\) is damaged"):
        list(events_of("a", [Entry("turn", body, 1.0)]))
