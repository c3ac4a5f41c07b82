"""A server does not grow: what is kept is what was said."""

from __future__ import annotations

import asyncio
import gc
import json
import tracemalloc

import dspy
import pytest
from dspy.clients import base_lm

from dspy_session import Session, SessionState, sessionify, with_memory
from tests.session.programs import Scripted, Team
from tests.stub_lm import StubModel

pytestmark = pytest.mark.unwatched  # coverage allocates as well

CONVERSATIONS, TURNS = 50, 10


async def serve(session: Session, states: list[SessionState], turns: int) -> None:
    """What a server does: each turn under settings of its own."""

    async def chat(number: int, state: SessionState) -> None:
        for turn in range(turns):
            with dspy.context(disable_history=True, trace=[]):
                async with session.use_state(state):
                    await session.acall(question=f"{number}.{turn}")

    await asyncio.gather(*(chat(number, state) for number, state in enumerate(states)))


async def test_five_hundred_turns_over_fifty_conversations_leave_only_the_turns(stub: StubModel) -> None:
    session = sessionify(dspy.Predict("question -> answer"), lock="async", max_turns=5)
    states = [session.new_state() for _ in range(CONVERSATIONS)]
    await serve(session, states[:5], 2)  # what is made once is made
    stub.prompts.clear()
    before = {"trace": len(dspy.settings.trace or []), "history": len(base_lm.GLOBAL_HISTORY)}

    await serve(session, states, TURNS)

    assert sum(map(len, states)) == CONVERSATIONS * TURNS + 10
    assert len(stub.prompts) == CONVERSATIONS * TURNS
    assert before == {"trace": len(dspy.settings.trace or []), "history": len(base_lm.GLOBAL_HISTORY)}
    assert [len(holder.history) for holder in (stub.lm, session, session.module)] == [0, 0, 0]
    assert len(session) == 0
    assert dspy.settings.get("dspy_session_bound") is None


def bytes_a_turn(session: Session, states: list[SessionState], turns: int) -> float:
    gc.collect()
    tracemalloc.start()
    for turn in range(turns):
        for state in states:
            with dspy.context(disable_history=True, trace=[]), session.use_state(state):
                session(question=f"{turn}" * 10)
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return size / (turns * len(states))


@pytest.mark.parametrize("seeded", [False, True])
def test_a_turn_costs_what_it_says_and_no_more_the_longer_the_conversation(seeded: bool) -> None:
    session = sessionify(Scripted(lambda question, _: {"answer": question}), max_turns=20)
    seed = dspy.History(messages=[{"question": "s", "answer": "a"}])
    states = [session.new_state(seed if seeded else None) for _ in range(2)]
    bytes_a_turn(session, states, 2)
    short = bytes_a_turn(session, states, 20)
    long = bytes_a_turn(session, states, 60)
    assert short < 900
    assert long < 1.1 * short


def test_a_state_that_is_let_go_is_gone() -> None:
    session = sessionify(Scripted(), lock="async")
    with session.use_state(session.new_state()) as state:
        session(question="a")
        turn = state.turns[0]
    del state
    gc.collect()
    assert not [item for item in gc.get_objects() if isinstance(item, SessionState) and item.turns == [turn]]


def test_trimmed_turns_are_let_go() -> None:
    session = sessionify(Scripted(), max_turns=3, max_stored_turns=5)
    for number in range(1000):
        session(question=f"a marked question {number}")
    kept = [turn.saw.log for turn in session.turns]
    assert max(map(len, kept)) < 100
    assert len({id(record) for log in kept for record in log}) < 100


def test_children_and_their_faces_do_not_pile_up(stub: StubModel) -> None:
    app = with_memory(Team(), max_stored_turns=2)
    state = app.new_state()
    for number in range(30):
        with dspy.context(disable_history=True, trace=[]), app.use_state(state):
            app(question=str(number))
            assert len(app.children["draft"]) == min(number + 1, 2)
    bindings = vars(app.module.draft)["session_bindings"]
    assert len(bindings) == 2
    assert [len(node) for node in state.node_states.values()] == [2, 2]


def test_forgotten_sessions_let_go_of_a_shared_module(stub: StubModel) -> None:
    module = dspy.Predict("question -> answer")
    for _ in range(5):
        session = sessionify(module, copy_mode="none")
        session(question="a")
        forked = session.fork()
        forked(question="b")
    del session, forked
    gc.collect()
    assert "session_bindings" not in vars(module)
    assert module(question="c").answer == "c (after 0 messages)"


def test_files_grow_in_step_with_the_text() -> None:
    session = sessionify(Scripted(lambda question, _: {"answer": question}))
    sizes: list[float] = []
    text = 0
    for number in range(1, 401):
        session.add_turn({"question": "x" * 400}, {"answer": "y" * 400})
        text += 800
        if number in (100, 400):
            sizes.append(len(json.dumps(session.save_state())) / text)
    assert sizes[1] < 1.5
    assert sizes[1] <= 1.02 * sizes[0]


def ours() -> int:
    """How many objects of the package are alive."""
    gc.collect()
    return sum(str(type(item).__module__).startswith("dspy_session") for item in gc.get_objects())


async def test_what_was_undone_leaves_nothing_behind() -> None:
    session = sessionify(Scripted(), on_turn=lambda *_: None, lock="async")

    async def talk(number: int) -> None:
        await session.acall(question=f"{number}")
        session.undo()

    await talk(0)
    before = ours()
    for number in range(50):
        await talk(number)
    assert ours() <= before + 2
