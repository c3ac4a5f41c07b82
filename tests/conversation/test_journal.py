"""A state and the state that its journal leads to are the same."""

from __future__ import annotations

import datetime
import random
from typing import Any

import dspy
import pytest

from dspy_session import Outcome, Session, SessionState, StateFileError, Turn, with_memory
from dspy_session.conversation import journal
from dspy_session.stores import Entry


class Echo(dspy.Module):
    """Answers with its question, and keeps what values there are."""

    def forward(self, question: Any) -> dspy.Prediction:
        return dspy.Prediction(answer=f"{question}!", extra={"seen": (1, {2}), "at": datetime.date(2026, 1, 2)})


class Kept:
    """A session whose calls are written to a journal."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.state = session.new_state(initial_history=session.initial_history)
        self.entries: list[Entry] = []

    async def call(self, **inputs: Any) -> None:
        async def commit(outcome: Outcome) -> None:
            self.entries.append(journal.call_entry(outcome, self.state, "", 1.0))

        with self.session.use_state(self.state, commit=commit):
            await self.session.acall(**inputs)

    def append(self, entry: Entry) -> None:
        self.entries.append(entry)
        journal.apply_entry(self.state, entry)

    def replayed(self) -> SessionState:
        state = journal.replay(self.entries, "test")
        if state.seed is None:  # the seed of a session is written by who keeps the journal
            state.initial_history = self.state.initial_history
        return state

    def check(self) -> None:
        again = self.replayed()
        assert again == self.state
        assert [turn.id for turn in again.turns] == [turn.id for turn in self.state.turns]
        assert again.next_index == self.state.next_index


SEED = dspy.History(messages=[{"question": "who?", "answer": "me"}, {"note": "be brief"}])


@pytest.mark.parametrize("seed", range(12))
async def test_any_sequence_of_changes_comes_back(seed: int) -> None:
    chance = random.Random(seed)
    session = Session(
        Echo(),
        max_turns=chance.choice([None, 1, 3, 6]),
        max_stored_turns=chance.choice([None, 4]),
        exclude_fields=chance.choice([None, {"extra"}]),
        initial_history=chance.choice([None, SEED]) if seed % 3 else None,
        history_policy="use_if_provided" if seed % 2 else "replace_session",
    )
    kept = Kept(session)
    for number in range(40):
        step = chance.random()
        if step < 0.6:
            await kept.call(question=f"question {number}")
        elif step < 0.75:
            await kept.call(
                question=["a", ("b", number)], history=dspy.History(messages=[{"question": "x", "n": number}])
            )
        elif step < 0.9:
            kept.append(journal.undo_entry(chance.randint(0, 3), 2.0))
        else:
            kept.append(journal.reset_entry(3.0))
        if session.initial_history is None:
            kept.check()


async def test_the_states_of_children_come_back() -> None:
    class Pipeline(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = dspy.Predict("question -> thought")
            self.second = dspy.Predict("thought -> answer")

        def forward(self, question: str) -> dspy.Prediction:
            return self.second(thought=self.first(question=question).thought)

    from tests.stub_lm import StubModel

    app = with_memory(
        Pipeline(),
        child_configs={"second": {"lifespan": "episodic", "consolidator": lambda past_memory, **_: past_memory + "+"}},
    )
    kept = Kept(app)
    with dspy.context(lm=StubModel().lm):
        for number in range(3):
            await kept.call(question=str(number))
    kept.check()
    again = kept.replayed()
    assert len(again.node_states["first"].turns) == 3
    assert len(again.node_states["first"].turns[2].history_snapshot.messages) == 2
    assert again.node_states["second"].l2_memory == "+++"


def test_an_entry_is_small() -> None:
    turn = Turn(0, {"question": "q" * 400}, {"answer": "a" * 400})
    entry = journal.call_entry(Outcome(turns=(turn,)), SessionState(), "", 1.0)
    assert len(entry.body) < 1.2 * 800


def test_a_value_that_cannot_come_back_is_refused_by_name() -> None:
    turn = Turn(0, {"question": object()}, {})
    with pytest.raises(TypeError, match=r"turn 0\.inputs\.question"):
        journal.call_entry(Outcome(turns=(turn,)), SessionState(), "", 1.0)


def test_lone_surrogates_come_back() -> None:
    turn = Turn(0, {"question": "\ud800"}, {"answer": "ö"})
    entry = journal.call_entry(Outcome(turns=(turn,)), SessionState(), "", 1.0)
    entry.body.encode()
    assert journal.replay([entry], "test").turns == [turn]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("call", "not json"),
        ("call", "{}"),
        ("call", "[]"),
        ("call", '{"turns":[{"id":"a","index":0,"inputs":{},"outputs":{},"saw":[0,5]}]}'),
        ("call", '{"turns":[{"id":"a","index":0,"inputs":7,"outputs":{},"saw":[0,0]}]}'),
        ("call", '{"turns":[{"inputs":{},"outputs":{}}]}'),
        ("undo", "{}"),
        ("prophecy", "{}"),
    ],
)
def test_a_damaged_entry_is_named(kind: str, body: str) -> None:
    with pytest.raises(StateFileError, match=r"conversation 'k': entry 1 \(" + kind):
        journal.replay([journal.reset_entry(1.0), Entry(kind, body, "", 1.0)], "conversation 'k'")
