"""What a type checker must see of the public API. Read by mypy in `make check`, never run."""

from collections.abc import AsyncGenerator
from typing import Any, assert_type

import dspy

from dspy_session import Session, SessionState, Turn, get_child_l1_ledger, get_current_history, sessionify, with_memory
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
assert_type(session.undo(2), list[Turn])
assert_type(session.pop_turn(), Turn | None)
assert_type(session.session_history, dspy.History)
assert_type(len(session), int)
assert_type(session.score(lambda example, prediction: True), list[float])
assert_type(session.to_examples(min_score=0.5), list[dspy.Example])
assert_type(Session.merge_examples(session, session), list[dspy.Example])
assert_type(session.astream("answer", question="Who?"), AsyncGenerator[Any, None])
Session(module, windows=3)  # type: ignore[call-arg]

state = session.new_state()
assert_type(state, SessionState)
assert_type(SessionState.from_dict(state.to_dict()), SessionState)


async def bind_a_state() -> None:
    with session.use_state(state):
        session(question="Who?")
    async with session.use_state(state):
        await session.acall(question="Who?")


turn = session.turns[0]
assert_type(turn.id, str)
assert_type(turn.index, int)
assert_type(turn.score, float | None)
assert_type(turn.history_snapshot, dspy.History)
turn.score = 1.0
turn.index = 3  # type: ignore[misc]

assert_type(get_current_history(), dspy.History | None)
assert_type(get_child_l1_ledger("steps[0]"), str)


class Printer:
    async def send(self, event: TurnEvent) -> None:
        assert_type(event.turn, Turn)

    async def aclose(self, grace: float = 5.0) -> None: ...


sink: Sink = Printer()
