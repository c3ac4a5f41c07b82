"""What a type checker must see of the public API. Read by mypy in `make check`, never run."""

from collections.abc import AsyncGenerator
from typing import Any, assert_type

import dspy

from dspy_session import (
    Outcome,
    Session,
    SessionError,
    SessionState,
    StateFileError,
    Turn,
    UnsupportedValueError,
    get_child_l1_ledger,
    get_current_history,
    get_execution_trace,
    get_node_memory,
    get_outer_history,
    read_examples,
    sessionify,
    with_memory,
)
from dspy_session.conversation.key import ConversationKey
from dspy_session.conversation.protocols import Sink, TurnEvent

key = ConversationKey("slack", "T1", "C1", "1700000000.000100")
assert_type(key.workspace, str)
assert_type(key.thread, str | None)
assert_type(ConversationKey.parse(str(key)), ConversationKey)

module = dspy.Predict("question -> answer")
session = sessionify(module, max_turns=20, lock="async")
assert_type(session, Session)
assert_type(with_memory(module, recursive=True), Session)
assert_type(Session.load_from("state.json", module), Session)
assert_type(session.fork(), Session)
assert_type(session.turns, list[Turn])
assert_type(read_examples("trainset.jsonl"), list[dspy.Example])
assert_type(session.undo(2), list[Turn])
assert_type(session.pop_turn(), Turn | None)
assert_type(session.session_history, dspy.History)
assert_type(len(session), int)
assert_type(session.score(lambda example, prediction: True), list[float])
assert_type(session.to_examples(min_score=0.5), list[dspy.Example])
assert_type(Session.merge_examples(session, session), list[dspy.Example])
assert_type(session.astream("answer", question="Who?"), AsyncGenerator[Any, None])
assert_type(session.to_trainset(), list[dspy.Example])
assert_type(session.add_turn({"question": "?"}, {"answer": "!"}, score=1), Turn)
assert_type(session.children, dict[str, Session])
assert_type(session.save_state(), dict[str, Any])
assert_type(session.deepcopy(), Session)
assert_type(session.reset_copy(), Session)
assert_type(session.initial_history, dspy.History | None)
Session(module, windows=3)  # type: ignore[call-arg]
Session(module, max_turns="3")  # type: ignore[arg-type]
sessionify("question -> answer")  # type: ignore[arg-type]
session.update_module(None)  # type: ignore[arg-type]

state = session.new_state()
assert_type(state, SessionState)
assert_type(SessionState.from_dict(state.to_dict()), SessionState)
assert_type(SessionState.load_from("state.json"), SessionState)
assert_type(state.fork(), SessionState)
assert_type(state.turns, list[Turn])
assert_type(list(state), list[Turn])
assert_type(state.initial_history, dspy.History | None)
assert_type(state.node_states["draft"], SessionState)
SessionState(turns=[Turn(0, {"question": "?"}, {"answer": "!"})], l2_memory="", node_states={"draft": state})


async def commit(outcome: Outcome) -> None:
    assert_type(outcome.turns, tuple[Turn, ...])
    assert_type(outcome.l2_memory, str | None)


async def bind_a_state() -> None:
    with session.use_state(state):
        session(question="Who?")
    async with session.use_state(state, commit=commit) as bound:
        assert_type(bound, SessionState)
        await session.acall(question="Who?")
    session.use_state({})  # type: ignore[arg-type]


def on_turn(session: Session, turn: Turn) -> None:
    assert_type(turn.inputs, dict[str, Any])


Session(module, on_turn=on_turn)
Session(module, on_turn=[on_turn, commit], before_turn=lambda session, inputs: None)
Session(module, reducer=lambda state: dspy.History(messages=[turn.outputs for turn in state]))


turn = session.turns[0]
assert_type(turn.id, str)
assert_type(turn.index, int)
assert_type(turn.score, float | None)
assert_type(turn.history_snapshot, dspy.History)
turn.score = 1.0
turn.index = 3  # type: ignore[misc]

assert_type(get_current_history(), dspy.History | None)
assert_type(get_outer_history(), dspy.History | None)
assert_type(get_node_memory(), str)
assert_type(get_child_l1_ledger("steps[0]"), str)
assert_type(get_execution_trace(), str)

errors: list[type[SessionError]] = [StateFileError, UnsupportedValueError]


class Printer:
    async def send(self, event: TurnEvent) -> None:
        assert_type(event.turn, Turn)

    async def aclose(self, grace: float = 5.0) -> None: ...


sink: Sink = Printer()
