"""What changes a conversation besides a turn that follows the last: another answer, half an answer, what people say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dspy
import pytest

from dspy_session import Session, SessionError
from dspy_session.conversation import ChangeEvent, Conversations, TurnEvent, TurnRequest
from dspy_session.conversation.protocols import ConversationEvent
from dspy_session.conversation.replaying import events_of
from dspy_session.conversation.restoring import past_turns
from dspy_session.feedback import Feedback, score_of, standing
from dspy_session.stores import Arrival, Entry, Inbox, Journal, MemoryStore
from tests.conversation.scripted_sink import ScriptedSink


class Numbered(dspy.Module):
    """Answers differently each time, and says how much it knows."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.fails = False
        self.started = asyncio.Event()
        self.gate: asyncio.Event | None = None

    async def aforward(self, question: str, history: dspy.History) -> dspy.Prediction:
        self.calls += 1
        self.started.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.fails:
            raise RuntimeError("no luck")
        return dspy.Prediction(answer=f"answer {self.calls} after {len(history.messages)}")


def chats(agent: Numbered, **options: Any) -> Conversations:
    return Conversations(Session(agent, copy_mode="none"), **options)


async def answers(conversations: Conversations) -> list[str]:
    conversations.holds.forget()  # as it stands in the store
    return [turn.outputs["answer"] for turn in (await conversations.state("k")).turns]


async def again(conversations: Conversations, turn_id: str, question: str = "again") -> Any:
    async with conversations.turn(TurnRequest("k", {"question": question}, instead_of=turn_id)) as turn:
        assert turn is not None
        return await turn.run()


async def test_a_turn_takes_the_place_of_the_newest() -> None:
    async with chats(Numbered()) as conversations:
        for question in ("one", "two"):
            await conversations.acall("k", question=question)
        old = (await conversations.state("k")).turns[-1]
        result = await again(conversations, old.id)
        assert result.answer == "answer 3 after 1"
        assert await answers(conversations) == ["answer 1 after 0", "answer 3 after 1"]
        new = (await conversations.state("k")).turns[-1]
        assert (new.index, new.inputs) == (1, {"question": "again"})
        assert new.id != old.id
        every = await conversations.past_turns("k")
        assert [turn.outputs["answer"] for turn in every] == [
            "answer 1 after 0",
            "answer 2 after 1",
            "answer 3 after 1",
        ]
        await conversations.acall("k", question="three")
        assert (await answers(conversations))[-1] == "answer 4 after 2"


async def test_who_replaces_a_turn_in_a_window_sees_what_the_first_one_saw() -> None:
    agent = Numbered()
    async with Conversations(Session(agent, copy_mode="none", max_turns=2)) as conversations:
        for number in range(6):
            await conversations.acall("k", question=str(number))
        conversations.holds.forget()
        old = (await conversations.state("k")).turns[-1]
        for _ in range(3):
            await again(conversations, old.id)
            new = (await conversations.state("k")).turns[-1]
            assert new.history_snapshot == old.history_snapshot
            old = new


async def test_a_replacement_that_fails_leaves_the_answer_that_stands() -> None:
    agent = Numbered()
    async with chats(agent) as conversations:
        await conversations.acall("k", question="one")
        old = (await conversations.state("k")).turns[-1]
        agent.fails = True
        with pytest.raises(RuntimeError):
            await again(conversations, old.id)
        assert (await conversations.state("k")).turns[-1].id == old.id
        assert await answers(conversations) == ["answer 1 after 0"]


async def test_only_the_newest_turn_can_be_replaced() -> None:
    async with chats(Numbered()) as conversations:
        with pytest.raises(SessionError, match="only the newest"):
            await again(conversations, "no such turn")
        for question in ("one", "two"):
            await conversations.acall("k", question=question)
        first = (await conversations.state("k")).turns[0]
        with pytest.raises(SessionError, match="only the newest"):
            await again(conversations, first.id)
        assert len(await answers(conversations)) == 2


async def test_a_replacement_is_told_as_an_undo_and_a_turn_and_replayed_so() -> None:
    sink = ScriptedSink()
    async with chats(Numbered(), sinks=[sink]) as conversations:
        await conversations.acall("k", question="one")
        old = (await conversations.state("k")).turns[-1]
        await again(conversations, old.id)
        entries = [entry async for entry in conversations.store.entries("k")]
    replayed = list(events_of("k", entries))
    assert [_kind(event) for event in replayed] == ["turn", "conversation.undone", "turn"]
    undone = replayed[1]
    assert isinstance(undone, ChangeEvent)
    assert undone.details["turn_ids"] == [old.id]
    assert sink.told["k"] == [told.id for event in replayed if (told := sink.encode(event)) is not None]


def _kind(event: ConversationEvent) -> str:
    return "turn" if isinstance(event, TurnEvent) else event.type


async def posted(*_: object) -> str:
    return "posted"


async def test_half_an_answer_is_remembered_as_such(tmp_path: Path) -> None:
    agent = Numbered()
    agent.gate = asyncio.Event()
    async with chats(agent, store=f"sqlite:///{tmp_path}/chat.db") as conversations:
        store = conversations.store
        assert isinstance(store, Inbox)
        for event_id in ("e1", "stop"):
            await store.receive(Arrival("k", event_id, "{}", 1.0, 1.0))
        request = TurnRequest("k", {"question": "one"}, event_id="e1", received=True, reply=posted)
        async with conversations.turn(request) as turn:
            assert turn is not None
            running = asyncio.create_task(turn.run())
            await agent.started.wait()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await turn.stop({"answer": "The capital is"}, "stopped", also=["stop"])
            assert turn.reply == "posted"
            assert turn.committed is not None
        assert list(await store.pending("k")) == []
        assert await answers(conversations) == ["The capital is"]
        (stopped,) = (await conversations.state("k")).turns
        assert (stopped.stopped, stopped.inputs) == ("stopped", {"question": "one"})
        agent.gate = None
        assert (await conversations.acall("k", question="two")).answer == "answer 2 after 1"
        state = await conversations.state("k")
        assert [turn.stopped for turn in state.turns] == ["stopped", ""]
        assert [turn.stopped for turn in past_turns([e async for e in store.entries("k")], "k")] == ["stopped", ""]
    examples = Session(agent, copy_mode="none").to_examples
    assert not examples()
    session = Session(agent, copy_mode="none")
    with session.use_state(state):
        assert [example.question for example in session.to_examples()] == ["two"]
        assert len(session.to_examples(require_outputs=False)) == 2
    state.save(tmp_path / "state.json")
    assert [turn.stopped for turn in type(state).load_from(tmp_path / "state.json").turns] == ["stopped", ""]


async def test_everybody_has_one_say_and_the_score_is_their_mean(tmp_path: Path) -> None:
    async with chats(Numbered()) as conversations:
        await conversations.acall("k", question="one")
        (turn,) = (await conversations.state("k")).turns

        async def score(value: float | None, by: str, text: str = "") -> float | None:
            await conversations.score("k", turn.id, value, by=by, text=text, source="button")
            conversations.holds.forget()
            return (await conversations.state("k")).turns[0].score

        assert await score(1.0, "ann") == 1.0
        assert await score(0.0, "ben", "too long") == 0.5
        assert await score(0.0, "ann") == 0.0  # she changed her mind
        assert await score(None, "ann") == 0.0  # and took it back
        assert await score(1.0, "cay") == 0.5
        state = await conversations.state("k")
        said = [replace(each, at=None) for each in state.turns[0].feedback]
        assert said == [
            Feedback(0.0, "ben", "too long", "button"),
            Feedback(1.0, "cay", "", "button"),
        ]
        state.save(tmp_path / "state.json")
        assert type(state).load_from(tmp_path / "state.json").turns[0].feedback == state.turns[0].feedback
        assert await score(None, "") is None  # everybody's


async def test_signals_are_no_scores() -> None:
    async with chats(Numbered()) as conversations:
        await conversations.acall("k", question="one")
        (turn,) = (await conversations.state("k")).turns
        await conversations.score("k", turn.id, 1.0, by="ann")
        for by in ("ann", "ben"):
            await conversations.signal("k", turn.id, "retried", by=by)
        conversations.holds.forget()
        (turn,) = (await conversations.state("k")).turns
        assert turn.score == 1.0
        assert [(each.signal, each.by) for each in turn.feedback] == [
            (None, "ann"),
            ("retried", "ann"),
            ("retried", "ben"),
        ]
        with pytest.raises(SessionError, match="has no turn"):
            await conversations.signal("k", "unknown", "undone")


def test_what_stands_of_what_was_said() -> None:
    assert standing([]) == ()
    assert score_of([]) is None
    taken_back = [Feedback(1.0, "ann"), Feedback(None, "ann")]
    assert standing(taken_back) == ()
    assert standing([*taken_back, Feedback(0.5, "ann")]) == (Feedback(0.5, "ann"),)
    assert score_of([Feedback(1.0, "ann"), Feedback(0.0, "ben"), Feedback(signal="undone")]) == 0.5


async def test_a_conversation_is_aside_until_its_next_turn() -> None:
    async with chats(Numbered()) as conversations:
        await conversations.acall("k", question="one")
        for _ in range(2):
            async with conversations.holds.hold("k") as hold:
                await conversations.changing(hold).set_aside()
        conversations.holds.forget()
        async with conversations.holds.hold("k") as hold:
            assert conversations.changing(hold).is_aside
            assert hold.known.length == 2
        await conversations.acall("k", question="two")
        conversations.holds.forget()
        async with conversations.holds.hold("k") as hold:
            assert not conversations.changing(hold).is_aside
        assert len(await answers(conversations)) == 2


async def test_the_turn_that_answered_a_message_is_found() -> None:
    async with chats(Numbered()) as conversations:
        for event_id in ("e1", "e2"):
            async with conversations.turn(TurnRequest("k", {"question": event_id}, event_id=event_id)) as turn:
                assert turn is not None
                await turn.run()
        await conversations.undo("k")
        async with conversations.holds.hold("k") as hold:
            changing = conversations.changing(hold)
            found = await changing.turn_of("e1")
            assert found is not None
            assert found.inputs == {"question": "e1"}
            assert await changing.turn_of("e2") is None  # it was taken back
            assert await changing.turn_of("e3") is None


class Counting(MemoryStore):
    """Counts the entries that are read."""

    def __init__(self) -> None:
        super().__init__()
        self.read_entries = 0

    async def read(self, key: str, depth: int | None = None) -> Journal:
        journal = await super().read(key, depth)
        self.read_entries += len(journal.entries)
        return journal

    async def entries(self, key: str) -> AsyncIterator[Entry]:
        async for entry in super().entries(key):
            self.read_entries += 1
            yield entry


async def test_of_a_recent_message_no_more_is_read_however_long_a_conversation_is() -> None:
    store = Counting()
    async with Conversations(Session(Numbered(), max_turns=3, copy_mode="none"), store) as conversations:
        for number in range(250):
            request = TurnRequest("k", {"question": str(number)}, event_id=f"e{number}", user="u", with_users=("v",))
            async with conversations.turn(request) as turn:
                assert turn is not None
                await turn.run()
        conversations.holds.forget()
        async with conversations.holds.hold("k") as hold:
            changing = conversations.changing(hold)
            store.read_entries = 0
            recent = await changing.turn_of("e248")
            assert recent is not None
            told = await changing.told_of(recent.id)
            assert (told.messages, told.users) == (("e248",), ("u", "v"))
            assert store.read_entries < 50
            for event_id, index in (("e0", 0), ("e120", 120)):  # an old one is found all the same
                old = await changing.turn_of(event_id)
                assert old is not None
                assert old.index == index
                assert (await changing.told_of(old.id)).messages == (event_id,)
            assert await changing.turn_of("unknown") is None
