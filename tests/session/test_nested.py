"""Calls from inside a turn of the same conversation are part of that turn: one commit, and hooks once all stands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import dspy
import pytest

from dspy_session import Outcome, Session, SessionState, Turn, sessionify
from dspy_session.conversation.journal import call_change
from dspy_session.conversation.restoring import Restored, restore
from dspy_session.stores import Entry, Journal
from tests.session.programs import Scripted, Team
from tests.stub_lm import StubModel

SEED = dspy.History(messages=[{"question": "s", "answer": "a"}])
both = pytest.mark.parametrize("asynchronous", [False, True])


def said(of: Session | SessionState) -> list[str]:
    return [turn.inputs["question"] for turn in of.turns]


class Store:
    """Keeps what is committed as a store does, and gives back what stands there."""

    def __init__(self, state: SessionState) -> None:
        self.state = state
        self.entries: list[Entry] = []
        self.marks: Mapping[str, int] = {}
        self.outcomes: list[Outcome] = []

    async def commit(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self.write(outcome)

    def stored(self) -> SessionState:
        journal = Journal(len(self.entries), self.marks, dict(enumerate(self.entries)))
        return restore(journal, "store").state

    def write(self, outcome: Outcome) -> None:
        change = call_change(outcome, Restored(self.state, len(self.entries), self.marks), 0.0)
        self.entries += change.entries
        self.marks = change.marks


def nesting(inside: Callable[[Session, str], Any], **options: Any) -> Session:
    """A session whose program, asked anything with an exclamation mark, calls ``inside`` first."""

    def answer(question: str, history: dspy.History) -> str:
        if question.endswith("!"):
            inside(session, question)
        if question.startswith("fail"):
            raise ValueError(question)
        return f"{question} after {len(history.messages)}"

    session = sessionify(Scripted(answer), copy_mode="none", **options)
    return session


async def call(session: Session, asynchronous: bool, **inputs: Any) -> Any:
    return await session.acall(**inputs) if asynchronous else session(**inputs)


def twice(session: Session, question: str) -> None:
    session(question=f"one of {question[:-1]}")
    session(question=f"two of {question[:-1]}")


@both
async def test_one_call_is_one_commit(asynchronous: bool) -> None:
    session = nesting(twice)
    state = session.new_state()
    store = Store(state)
    with session.use_state(state, commit=store.commit):
        await call(session, asynchronous, question="a!")
        await call(session, asynchronous, question="b")
    assert [len(outcome.turns) for outcome in store.outcomes] == [3, 1]
    assert said(state) == ["one of a", "two of a", "a!", "b"]
    assert [turn.index for turn in state.turns] == [0, 1, 2, 3]
    assert store.stored() == state


@both
async def test_a_failed_turn_commits_nothing_of_what_was_said_inside(asynchronous: bool) -> None:
    session = nesting(twice)
    state = session.new_state()
    store = Store(state)
    with session.use_state(state, commit=store.commit):
        await call(session, asynchronous, question="a!")
        with pytest.raises(ValueError, match="fail"):
            await call(session, asynchronous, question="fail!")
        await call(session, asynchronous, question="b")
    assert said(state) == ["one of a", "two of a", "a!", "b"]
    assert store.stored() == state


def test_turns_that_stood_before_a_failure_are_the_same_turns_after_it() -> None:
    session = nesting(twice)
    session(question="a")
    [turn] = session.turns
    with pytest.raises(ValueError, match="fail"):
        session(question="fail!")
    assert session.turns[0] is turn
    session(question="b!")
    assert session.turns[0] is turn


@both
async def test_a_commit_that_fails_takes_everything_inside_with_it(asynchronous: bool) -> None:
    session = nesting(twice)
    state = session.new_state()
    with session.use_state(state):
        await call(session, asynchronous, question="a!")
    before = state.to_dict()

    async def full(outcome: Outcome) -> None:
        raise OSError("disk full")

    with session.use_state(state, commit=full), pytest.raises(OSError, match="disk full"):
        await call(session, asynchronous, question="b!")
    assert state.to_dict() == before


@both
async def test_hooks_hear_of_turns_in_order_once_all_of_them_stand(asynchronous: bool) -> None:
    order: list[Any] = []

    async def commit(outcome: Outcome) -> None:
        order.append("committed")

    session = nesting(twice, on_turn=lambda session, turn: order.append((turn.index, len(session))))
    with session.use_state(session.new_state(), commit=commit):
        await call(session, asynchronous, question="a!")
        with pytest.raises(ValueError, match="fail"):
            await call(session, asynchronous, question="fail!")
    assert order == ["committed", (0, 3), (1, 3), (2, 3)]


def test_another_session_on_the_same_state_is_part_of_the_turn_and_has_its_own_hooks() -> None:
    told: list[tuple[str, Turn]] = []
    helper = sessionify(Scripted(), on_turn=lambda _, turn: told.append(("helper", turn)))

    def inside(session: Session, question: str) -> None:
        with helper.use_state(session.state):
            helper(question="help")

    session = nesting(inside, on_turn=lambda _, turn: told.append(("session", turn)))
    state = session.new_state()
    store = Store(state)
    with session.use_state(state, commit=store.commit):
        session(question="a!")
    assert [(who, turn.inputs["question"]) for who, turn in told] == [("helper", "help"), ("session", "a!")]
    assert len(store.outcomes) == 1
    assert store.stored() == state


def test_another_state_stands_by_itself() -> None:
    told: list[str] = []
    helper = sessionify(Scripted(), on_turn=lambda _, turn: told.append(turn.inputs["question"]))
    session = nesting(lambda *_: helper(question="help"))
    with pytest.raises(ValueError, match="fail"):
        session(question="fail!")
    assert told == said(helper) == ["help"]


def test_turns_inside_turns_inside_turns() -> None:
    told: list[int] = []

    def deeper(session: Session, question: str) -> None:
        session(question=f"inside {question}" if len(question) < 20 else "deep enough")

    session = nesting(deeper, on_turn=lambda _, turn: told.append(turn.index))
    state = session.new_state()
    store = Store(state)
    with session.use_state(state, commit=store.commit):
        session(question="a!")
    assert said(state) == ["deep enough", "inside inside inside a!", "inside inside a!", "inside a!", "a!"]
    assert told == [0, 1, 2, 3, 4]
    assert len(store.outcomes) == 1
    assert store.stored() == state


def test_what_each_turn_saw_is_stored_exactly() -> None:
    session = nesting(twice, max_turns=2)
    state = session.new_state(initial_history=SEED)
    store = Store(SessionState(initial_history=SEED))
    store.write(Outcome(new_seed=True, seed=SEED))
    store.state = state
    with session.use_state(state, commit=store.commit):
        for question in ("a", "b!", "c", "d!"):
            session(question=question)
    assert [turn.history_snapshot for turn in store.stored().turns] == [turn.history_snapshot for turn in state.turns]
    assert state.turns[3].outputs["output"] == "b! after 2"


def test_replacing_the_conversation_from_inside_it() -> None:
    session = nesting(lambda session, _: session(question="afresh", history=SEED), history_policy="replace_session")
    state = session.new_state()
    store = Store(state)
    with session.use_state(state, commit=store.commit):
        session(question="a")
        session(question="b!")
    assert said(state) == ["afresh", "b!"]
    assert state.initial_history == SEED
    assert store.stored() == state


def test_trimming_holds_for_turns_inside() -> None:
    session = nesting(twice, max_stored_turns=2)
    state = session.new_state()
    store = Store(state)
    with session.use_state(state, commit=store.commit):
        session(question="a!")
        session(question="b!")
    assert [turn.index for turn in state.turns] == [4, 5]
    assert store.stored() == state


@pytest.mark.parametrize("lock", ["none", "thread"])
def test_parallel_turns_inside_a_turn_have_positions_of_their_own(lock: str) -> None:
    def many(session: Session, question: str) -> None:
        pairs = [(session, {"question": str(number)}) for number in range(8)]
        dspy.Parallel(num_threads=8, disable_progress_bar=True)(pairs)

    session = nesting(many, lock=lock)
    state = session.new_state()
    store = Store(state)
    with session.use_state(state, commit=store.commit):
        session(question="a!")
    assert [turn.index for turn in state.turns] == list(range(9))
    assert sorted(said(state)[:8]) == [str(number) for number in range(8)]
    assert len(store.outcomes) == 1
    assert store.stored() == state


async def test_a_cancelled_turn_takes_everything_inside_with_it() -> None:
    inside = asyncio.Event()

    async def answer(question: str, history: dspy.History) -> str:
        if question == "hang":
            await session.acall(question="inside")
            inside.set()
            await asyncio.Event().wait()
        return question

    told: list[Turn] = []
    session = sessionify(Scripted(answer), copy_mode="none", on_turn=lambda _, turn: told.append(turn), lock="async")
    await session.acall(question="a")
    before = session.save_state()
    task = asyncio.create_task(session.acall(question="hang"))
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert session.save_state() == before
    assert len(told) == 1


def test_children_that_ran_side_by_side_are_stored_with_what_each_saw(stub: StubModel) -> None:
    from dspy_session import with_memory

    class Many(Team):
        def forward(self, question: str) -> str:
            pairs = [(self.draft, {"question": f"{question}{number}"}) for number in range(6)]
            dspy.Parallel(num_threads=6, disable_progress_bar=True)(pairs)
            return question

    app = with_memory(Many(), max_turns=4)
    state = app.new_state()
    store = Store(state)
    with app.use_state(state, commit=store.commit):
        for question in "abc":
            app(question=question)
    ledger, stored = state.node_states["draft"], store.stored().node_states["draft"]
    assert [turn.history_snapshot for turn in stored.turns] == [turn.history_snapshot for turn in ledger.turns]
    assert store.stored() == state


# --- outcomes


def turn(index: int) -> Turn:
    return Turn(index, {"question": str(index)}, {"answer": "!"})


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Outcome(turns=(turn(1),)), Outcome(turns=(turn(2),))),
        (Outcome(turns=(turn(1),), max_stored_turns=2), Outcome(turns=(turn(2),), max_stored_turns=2)),
        (Outcome(turns=(turn(1),)), Outcome(turns=(turn(0),), cleared=True)),
        (Outcome(turns=(turn(0),), cleared=True), Outcome(turns=(turn(1),))),
        (Outcome(new_seed=True, seed=SEED), Outcome(l2_memory="m")),
        (Outcome(new_seed=True, seed=SEED), Outcome(new_seed=True)),
        (Outcome(l2_memory="m"), Outcome(l2_memory="")),
        (Outcome(nodes={"a": Outcome(l2_memory="m")}), Outcome(nodes={"a": Outcome(turns=(turn(0),)), "b": Outcome()})),
        (Outcome(), Outcome(turns=(turn(1),))),
        (Outcome(turns=(turn(1),)), Outcome()),
    ],
)
def test_two_outcomes_as_one_change_the_same(first: Outcome, second: Outcome) -> None:
    one_by_one = SessionState([turn(0)], SEED, "before")
    at_once = one_by_one.fork()
    one_by_one.apply(first)
    one_by_one.apply(second)
    at_once.apply(first.then(second))
    assert at_once == one_by_one
    assert at_once.next_index == one_by_one.next_index
