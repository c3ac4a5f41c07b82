"""Turns and events to tell."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from dspy_session.conversation.protocols import ChangeEvent, TurnEvent
from dspy_session.turn import Turn

KEY = "slack:T1:C1:1700000000.000100"
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def make_turn(index: int = 0, *, turn_id: str | None = None, **fields: Any) -> Turn:
    inputs = {"question": f"question {index}", **fields}
    return Turn(index, inputs, {"answer": f"answer {index}"}, id=turn_id or f"t{index}", created_at=NOON)


def make_event(index: int = 0, *, key: str = KEY, turn: Turn | None = None) -> TurnEvent:
    return TurnEvent(
        key=key,
        turn=turn if turn is not None else make_turn(index, turn_id=f"{key}#{index}"),
        author="U1",
        author_name="Ada",
        model="stub/model",
        occurred_at=NOON,
    )


DETAILS = {
    "turn.scored": {"turn_id": "t1", "score": 1.0, "by": "U1", "text": "well said", "source": "button"},
    "turn.edited": {"turn_id": "t1", "inputs": {"question": "corrected"}, "outputs": {"answer": "too"}},
    "conversation.undone": {"turn_ids": ["t2", "t1"]},
    "conversation.reset": {},
    "conversation.forked": {"from_key": "slack:T1:C2"},
    "conversation.deleted": {},
}


def make_change(kind: Any = "turn.scored", *, key: str = KEY, event_id: str = "c1", **details: Any) -> ChangeEvent:
    return ChangeEvent(kind, key, event_id, NOON, {**DETAILS[kind], **details})
