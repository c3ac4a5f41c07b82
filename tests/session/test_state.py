"""States: bound to a context, apart from one another, edited by hand."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dspy
import pytest

from dspy_session import Outcome, Session, SessionState, Turn, sessionify, with_memory
from dspy_session.history import View
from tests.session.programs import Scripted, Team
from tests.stub_lm import StubModel

SEED = dspy.History(messages=[{"question": "s", "answer": "a"}])


def said(of: Session | SessionState) -> list[str]:
    return [turn.inputs["question"] for turn in of.turns]


def talk(session: Session, *questions: str) -> None:
    for question in questions:
        session(question=question)


# --- a state by itself


def test_a_state_begins_with_what_it_is_given() -> None:
    turns = [Turn(0, {"question": "a"}, {"answer": "b"})]
    node = SessionState(l2_memory="likes tea")
    state = SessionState(turns, SEED, "knows Max", {"draft": node})
    turns.clear()
    assert len(state) == 1
    assert [turn.index for turn in state] == [0]
    assert state.initial_history == SEED
    assert (state.l2_memory, state.node_states) == ("knows Max", {"draft": node})
    assert repr(state) == "SessionState(turns=1, nodes=['draft'])"
    empty = SessionState()
    assert (len(empty), empty.turns, empty.initial_history, empty.l2_memory, empty.node_states) == (0, [], None, "", {})
    assert bool(empty)


def test_new_state_takes_a_seed_and_a_memory() -> None:
    session = sessionify(Scripted())
    state = session.new_state(initial_history=SEED, l2_memory="m")
    assert isinstance(state, SessionState)
    assert (state.initial_history, state.l2_memory, len(state)) == (SEED, "m", 0)
    assert session.new_state() is not session.new_state()


def test_states_are_equal_when_they_hold_the_same() -> None:
    def state(answer: str = "b", **more: Any) -> SessionState:
        return SessionState([Turn(0, {"question": "a"}, {"answer": answer})], **more)

    assert state() == state()
    assert state() != state("c")
    assert state() != state(l2_memory="m")
    assert state() != state(initial_history=SEED)
    assert state() != state(node_states={"draft": SessionState()})
    assert state() != "state"
    first = state()
    assert len({first, state(), first}) == 2
    assert Turn(0, {}, {}) != "turn"
    with pytest.raises(TypeError, match="unhashable"):
        hash(first.turns[0])


def test_a_fork_goes_its_own_way() -> None:
    session = sessionify(Scripted())
    state = session.new_state(initial_history=SEED, l2_memory="m")
    state.node_states["draft"] = SessionState(l2_memory="d")
    with session.use_state(state):
        talk(session, "a", "b")
        state.turns[0].score = 0.5
        twins = [state.fork(), copy.copy(state), copy.deepcopy(state)]
        assert all(twin == state for twin in twins)
        talk(session, "c")
    for twin in twins:
        with session.use_state(twin):
            talk(session, "x", "y")
        twin.turns[0].score = 1.0
        twin.node_states["draft"].l2_memory = "changed"
        twin.l2_memory = "changed"
        assert said(twin) == ["a", "b", "x", "y"]
        assert [message["question"] for message in twin.turns[3].history_snapshot.messages] == ["s", "a", "b", "x"]
    assert said(state) == ["a", "b", "c"]
    assert (state.turns[0].score, state.l2_memory, state.node_states["draft"].l2_memory) == (0.5, "m", "d")
    assert [message["question"] for message in state.turns[2].history_snapshot.messages] == ["s", "a", "b"]


def test_forks_that_talk_at_once_never_hear_each_other() -> None:
    session = sessionify(Scripted())
    trunk = session.new_state()
    with session.use_state(trunk):
        talk(session, *"abcde")
    for _ in range(10):
        branches = [trunk.fork() for _ in range(4)]
        start = threading.Barrier(len(branches))

        def branch(state: SessionState, name: str, start: threading.Barrier = start) -> None:
            start.wait()
            with session.use_state(state):
                talk(session, *[name] * 4)

        with ThreadPoolExecutor(len(branches)) as pool:
            list(pool.map(branch, branches, "wxyz"))
        for state, name in zip(branches, "wxyz", strict=True):
            for place, turn in enumerate(state.turns[5:]):
                heard = [message["question"] for message in turn.history_snapshot.messages]
                assert heard == [*"abcde", *[name] * place]


def test_a_copied_turn_has_a_score_of_its_own() -> None:
    turn = Turn(0, {"question": ["a"]}, {"answer": "b"})
    for twin in (copy.copy(turn), copy.deepcopy(turn)):
        assert (twin, twin.id) == (turn, turn.id)
        twin.score = 0.5
    assert turn.score is None


# --- binding


@pytest.mark.parametrize("state", [None, {}, [], "state", sessionify(Scripted()), SessionState])
async def test_only_a_state_is_bound(state: Any) -> None:
    session = sessionify(Scripted())
    with pytest.raises(TypeError, match="use_state takes a SessionState"), session.use_state(state):
        pass
    with pytest.raises(TypeError, match="use_state takes a SessionState"):
        async with session.use_state(state):
            pass


def test_bindings_nest_and_end() -> None:
    session = sessionify(Scripted())
    alice, bob = session.new_state(), session.new_state()
    with session.use_state(alice) as bound:
        assert bound is alice
        talk(session, "a1")
        with session.use_state(bob):
            talk(session, "b1")
        talk(session, "a2")
        with contextlib.suppress(ValueError), session.use_state(bob):
            raise ValueError
        assert session.state is alice
        assert (said(session), len(session)) == (["a1", "a2"], 2)
    talk(session, "mine")
    assert [said(alice), said(bob), said(session)] == [["a1", "a2"], ["b1"], ["mine"]]


def test_a_binding_can_be_entered_again() -> None:
    session = sessionify(Scripted())
    alice = session.new_state()
    binding = session.use_state(alice)
    with binding:
        with binding:
            talk(session, "a")
        talk(session, "b")
    talk(session, "mine")
    assert [said(alice), said(session)] == [["a", "b"], ["mine"]]


async def test_one_binding_serves_many_tasks_at_once() -> None:
    async def slow(question: str, history: dspy.History) -> str:
        await asyncio.sleep(0)
        return question

    session = sessionify(Scripted(slow), lock="async")
    binding = session.use_state(session.new_state())

    async def chat(number: int) -> None:
        for _ in range(number % 3):
            await asyncio.sleep(0)
        async with binding as state:
            await session.acall(question=str(number))
            assert session.state is state
        assert session.state is not state

    await asyncio.gather(*map(chat, range(9)))
    with binding as state:
        assert sorted(said(state)) == [str(number) for number in range(9)]
    assert len(session) == 0


def test_a_binding_is_for_one_session() -> None:
    one, two = sessionify(Scripted()), sessionify(Scripted())
    state = one.new_state()
    with one.use_state(state):
        talk(two, "to two")
        with two.use_state(state):
            talk(two, "to the state")
            talk(one, "to the state too")
    assert [said(state), said(one), said(two)] == [["to the state", "to the state too"], [], ["to two"]]


async def test_tasks_are_isolated() -> None:
    async def slow(question: str, history: dspy.History) -> str:
        await asyncio.sleep(0)
        return f"{question} after {len(history.messages)}"

    session = sessionify(Scripted(slow))
    states = [session.new_state() for _ in range(20)]

    async def chat(state: SessionState, name: str) -> None:
        async with session.use_state(state) as bound:
            assert bound is state
            for turn in range(3):
                await session.acall(question=f"{name}{turn}")

    await asyncio.gather(*(chat(state, str(number)) for number, state in enumerate(states)))
    for number, state in enumerate(states):
        assert said(state) == [f"{number}0", f"{number}1", f"{number}2"]
        assert [turn.outputs["output"][-1] for turn in state.turns] == ["0", "1", "2"]
    assert len(session) == 0


async def test_a_task_inherits_the_binding_and_keeps_it() -> None:
    session = sessionify(Scripted())
    state = session.new_state()
    go = asyncio.Event()

    async def later() -> None:
        await go.wait()
        await session.acall(question="later")

    async with session.use_state(state):
        task = asyncio.create_task(later())
    go.set()
    await task
    assert [said(state), said(session)] == [["later"], []]


def test_threads_are_isolated() -> None:
    session = sessionify(Scripted())
    states = [session.new_state() for _ in range(8)]
    together = threading.Barrier(len(states))

    def chat(state: SessionState) -> None:
        with session.use_state(state):
            for turn in range(3):
                together.wait()
                session(question=str(turn))

    with session.use_state(session.new_state()), ThreadPoolExecutor(len(states)) as pool:
        list(pool.map(chat, states))
        assert len(session) == 0
    assert [said(state) for state in states] == [["0", "1", "2"]] * len(states)
    assert len(session) == 0


def test_a_plain_thread_does_not_see_the_binding_but_dspys_threads_do() -> None:
    session = sessionify(Scripted())
    state = session.new_state()
    with session.use_state(state):
        thread = threading.Thread(target=talk, args=(session, "plain"))
        thread.start()
        thread.join()
        dspy.Parallel(num_threads=2, disable_progress_bar=True)(
            [(session, {"question": "p1"}), (session, {"question": "p2"})]
        )
    assert said(session) == ["plain"]
    assert sorted(said(state)) == ["p1", "p2"]


async def test_asyncify_sees_the_binding() -> None:
    session = sessionify(Scripted())
    async with session.use_state(session.new_state()) as state:
        await dspy.asyncify(session)(question="a")
    assert [said(state), said(session)] == [["a"], []]


def test_seeds_of_states_at_work_at_once_are_never_mixed_up() -> None:
    session = sessionify(Scripted(lambda question, history: history.messages[0]["question"]))
    names = ["ada", "bob", "cyd", "dan"]
    states = {name: session.new_state(dspy.History(messages=[{"question": name}])) for name in names}
    together = threading.Barrier(len(names))

    def chat(name: str) -> set[str]:
        together.wait()
        with session.use_state(states[name]):
            return {session(question="?") for _ in range(50)}

    with ThreadPoolExecutor(len(names)) as pool:
        assert list(pool.map(chat, names)) == [{name} for name in names]


# --- reset, fork, undo


def test_reset_clears_the_turns_and_keeps_the_seed() -> None:
    session = sessionify(Scripted(), initial_history=SEED)
    talk(session, "a", "b")
    session.reset()
    assert (len(session), session.initial_history) == (0, SEED)
    talk(session, "c")
    assert [(turn.index, turn.outputs["answer"]) for turn in session.turns] == [(0, "c after 1")]
    state = session.new_state(initial_history=dspy.History(messages=[]), l2_memory="m")
    with session.use_state(state):
        talk(session, "d")
        session.reset()
        talk(session, "e")
    assert (said(state), state.initial_history, state.l2_memory) == (["e"], dspy.History(messages=[]), "m")
    assert said(session) == ["c"]


def test_reset_clears_the_children_too(stub: StubModel) -> None:
    team = with_memory(Team())
    talk(team, "a")
    team.reset()
    assert [len(node) for node in team.state.node_states.values()] == [0, 0]


@pytest.mark.parametrize("copy_mode", ["deep", "shallow", "none"])
def test_a_fork_is_independent(stub: StubModel, copy_mode: str) -> None:
    told: list[tuple[Session, Turn]] = []

    def hook(session: Session, turn: Turn) -> None:
        told.append((session, turn))

    session = sessionify(Team(), copy_mode=copy_mode, on_turn=hook, max_turns=3, initial_history=SEED)
    talk(session, "a", "b")
    fork = session.fork()
    assert fork.turns == session.turns
    assert (fork.on_turn, fork.max_turns, fork.initial_history) == (hook, 3, SEED)
    assert (fork.module is session.module) == (copy_mode == "none")
    talk(fork, "c")
    fork.turns[0].score = 1.0
    fork.initial_history = None
    assert [said(session), said(fork)] == [["a", "b"], ["a", "b", "c"]]
    assert session.turns[0].score is None
    assert session.initial_history == SEED
    assert told[-1] == (fork, fork.turns[-1])
    if copy_mode != "none":
        fork.module.draft.demos = [{"question": "demo", "text": "demonstrated"}]
        talk(fork, "d")
        assert "demonstrated" in stub.prompts[-2].text
        talk(session, "d")
        assert "demonstrated" not in stub.prompts[-2].text


def test_a_fork_inside_a_binding_starts_from_the_bound_state() -> None:
    session = sessionify(Scripted())
    talk(session, "mine")
    with session.use_state(session.new_state()):
        talk(session, "theirs")
        fork = session.fork()
        talk(fork, "more")
    assert [said(fork), said(session)] == [["theirs", "more"], ["mine"]]


def test_undo_returns_the_removed_turns_newest_first() -> None:
    session = sessionify(Scripted())
    talk(session, *"abcd")
    assert [turn.inputs["question"] for turn in session.undo(2)] == ["d", "c"]
    assert [turn.inputs["question"] for turn in session.undo()] == ["b"]
    assert session.undo(0) == []
    assert [turn.inputs["question"] for turn in session.undo(5)] == ["a"]
    assert session.undo(1) == []
    assert session.pop_turn() is None
    with pytest.raises(ValueError, match="steps must not be negative"):
        session.undo(-1)


def test_pop_turn_returns_the_newest() -> None:
    session = sessionify(Scripted())
    talk(session, "a", "b")
    last = session.turns[-1]
    assert session.pop_turn() is last
    assert said(session) == ["a"]
    talk(session, "c")
    assert session.turns[-1].outputs["answer"] == "c after 1"


def test_turns_is_a_new_list_each_time() -> None:
    session = sessionify(Scripted())
    talk(session, "a")
    session.turns.clear()
    session.state.turns.append(session.turns[0])
    assert len(session) == len(session.turns) == 1
    assert session.turns[0] is session.turns[0]


# --- positions


def indexes(session: Session) -> list[int]:
    return [turn.index for turn in session.turns]


def test_trimming_never_renumbers_and_undo_frees_a_position() -> None:
    session = sessionify(Scripted(), max_stored_turns=2)
    talk(session, *"abcde")
    assert indexes(session) == [3, 4]
    session.undo()
    talk(session, "f")
    assert (indexes(session), said(session)) == ([3, 4], ["d", "f"])
    session.undo(2)
    assert len(session) == 0
    talk(session, "g")
    assert indexes(session) == [3]
    session.reset()
    talk(session, "h")
    assert indexes(session) == [0]


def test_undo_frees_the_positions_of_turns_that_a_state_began_with() -> None:
    session = sessionify(Scripted())
    with session.use_state(SessionState([Turn(5, {"question": "a"}, {}), Turn(6, {"question": "b"}, {})])):
        session.undo(2)
        talk(session, "c")
        assert indexes(session) == [5]


def test_positions_go_on_where_nothing_is_stored() -> None:
    session = sessionify(Scripted(), max_stored_turns=0)
    positions: list[int] = []
    session.on_turn = lambda _, turn: positions.append(turn.index)
    talk(session, *"abc")
    assert positions == [0, 1, 2]
    assert len(session) == 0


def test_trimming_holds_for_turns_written_by_hand_and_for_forks() -> None:
    session = sessionify(Scripted(), max_stored_turns=2)
    for number in range(4):
        session.add_turn({"question": str(number)}, {"answer": "!"})
    fork = session.fork()
    talk(fork, "x")
    assert (indexes(session), indexes(fork)) == ([2, 3], [3, 4])


def test_a_turn_written_by_hand_is_a_turn() -> None:
    session = sessionify(Scripted(), initial_history=SEED)
    turn = session.add_turn(inputs={"question": "capital?", "history": SEED}, outputs={"answer": "Paris"}, score=0.5)
    assert session.turns == [turn]
    assert (turn.index, turn.inputs, turn.outputs, turn.score) == (
        0,
        {"question": "capital?"},
        {"answer": "Paris"},
        0.5,
    )
    assert turn.history_snapshot == SEED
    talk(session, "and Germany?")
    assert session.turns[1].outputs == {"answer": "and Germany? after 2"}


# --- the module under a session


def test_update_module_keeps_the_conversation(stub: StubModel) -> None:
    session = sessionify(dspy.Predict("question -> answer"), max_turns=4)
    talk(session, "a", "b")
    better = dspy.Predict(dspy.Signature("question -> answer", "Be brief, be bright."))
    session.update_module(better)
    assert said(session) == ["a", "b"]
    assert session(question="c").answer == "c (after 2 messages)"
    assert "Be brief, be bright." in stub.prompts[-1].text
    assert session.module is not better
    assert "history" not in better.signature.input_fields
    with pytest.raises(TypeError, match=r"a session wraps a dspy\.Module"):
        session.update_module("better")  # type: ignore[arg-type]


def test_update_module_lets_go_of_the_old_one(stub: StubModel) -> None:
    old, new = dspy.Predict("question -> answer"), dspy.Predict("question -> answer")
    session = sessionify(old, copy_mode="none")
    session.update_module(new)
    assert type(old) is dspy.Predict
    assert session.module is new
    assert list(old.signature.input_fields) == ["question"]


def test_update_module_keeps_the_policies_of_the_children(stub: StubModel) -> None:
    team = with_memory(Team(), child_configs={"draft": {"lifespan": "stateless"}})
    talk(team, "a")
    team.update_module(Team())
    talk(team, "b")
    assert "draft" not in team.state.node_states
    assert len(team.state.node_states["edit"]) == 2


def test_a_module_that_does_not_fit_changes_nothing(stub: StubModel) -> None:
    team = with_memory(Team(), child_configs={"draft": {"lifespan": "stateless"}})
    module = team.module
    talk(team, "a")
    other = dspy.Predict("question -> answer")
    with pytest.raises(ValueError, match="'draft', which is no module"):
        team.update_module(other)
    assert team.module is module
    assert type(other) is dspy.Predict
    talk(team, "b")
    assert len(team.state.node_states["edit"]) == 2


def test_repr() -> None:
    class TravelAgent(dspy.Module):
        def forward(self, question: str) -> str:
            return question

    session = sessionify(TravelAgent())
    assert repr(session) == "Session(TravelAgent, turns=0, history_field='history')"
    talk(session, "a")
    assert repr(session) == "Session(TravelAgent, turns=1, history_field='history')"
    assert repr(sessionify(dspy.Predict("question, past: dspy.History -> answer"), history_field="past")) == (
        "Session(Predict, turns=0, history_field='past')"
    )
    assert repr(session.turns[0]) == (
        "Turn(index=0, inputs={'question': 'a'}, outputs={'output': 'a'}, "
        "history_snapshot=History(messages=[]), score=None)"
    )


def test_a_declared_name_wins_and_a_warning_says_so(caplog: pytest.LogCaptureFixture) -> None:
    quiet = sessionify(dspy.Predict("question, past: dspy.History -> answer"))
    assert quiet.history_field == "past"
    assert not caplog.records
    loud = sessionify(dspy.Predict("question, past: dspy.History -> answer"), history_field="before")
    assert loud.history_field == "past"
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert "has the history field 'past' already, which is used instead of 'before'" in record.getMessage()


# --- outcomes


def test_an_outcome_applied_to_an_equal_state_gives_an_equal_state(stub: StubModel) -> None:
    team = with_memory(Team(), history_policy="replace_session", max_stored_turns=2)
    outcomes: list[Outcome] = []

    async def commit(outcome: Outcome) -> None:
        assert len(outcome.turns) == 1
        outcomes.append(outcome)

    state, replica = team.new_state(), team.new_state()
    with team.use_state(state, commit=commit):
        talk(team, "a", "b", "c")
        team(question="d", history=SEED)
        talk(team, "e")
    for outcome in outcomes:
        assert not outcome.empty
        replica.apply(outcome)
    assert replica == state
    assert said(state) == ["d", "e"]
    assert Outcome(nodes={"draft": Outcome()}).empty


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_what_is_not_committed_does_not_stand(asynchronous: bool) -> None:
    told: list[Turn] = []
    session = sessionify(Scripted(), on_turn=lambda _, turn: told.append(turn))
    state = session.new_state()

    async def commit(outcome: Outcome) -> None:
        assert len(state) == len(told) == 0
        raise OSError("disk full")

    with session.use_state(state, commit=commit), pytest.raises(OSError, match="disk full"):
        await session.acall(question="a") if asynchronous else session(question="a")
    assert len(state) == len(told) == 0


def test_a_state_and_its_fork_may_both_go_on_at_the_same_time():
    state = SessionState([Turn(0, {"q": "both"}, {"a": "."})])
    fork = state.fork()
    other = threading.Thread(target=fork.append, args=(Turn(1, {"q": "fork"}, {"a": "."}),))

    class Interrupted(Turn):
        @property
        def record(self):
            other.start()
            other.join(0.1)  # it ends at once, or only after us
            return super().record

    state.append(Interrupted(1, {"q": "state"}, {"a": "."}))
    other.join()
    said = [[message["q"] for message in one.saw(None, View()).history().messages] for one in (state, fork)]
    assert said == [["both", "state"], ["both", "fork"]]
