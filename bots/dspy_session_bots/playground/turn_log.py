"""A turn as the turn log shows it."""

from __future__ import annotations

from typing import Any

from dspy_session import Turn
from dspy_session.codec import to_json
from dspy_session.errors import UnsupportedValueError
from dspy_session.feedback import Feedback

LONGEST_TEXT = 4000
"""Characters of one text that are shown: an image in a field is megabytes of base64."""


def entry(turn: Turn, message: str, model: str = "") -> dict[str, Any]:
    """The log's line for ``turn``, as JSON values.

    Args:
        turn: The turn.
        message: What was said to the agent.
        model: The language model that answered; empty when it is not known, as for a turn out of the store.
    """
    return {
        "id": turn.id,
        "index": turn.index,
        "message": _shortened(message),
        "at": None if turn.created_at is None else turn.created_at.timestamp(),
        "history": len(turn.history_snapshot.messages),
        "inputs": {name: _shown(value) for name, value in turn.inputs.items()},
        "outputs": {name: _shown(value) for name, value in turn.outputs.items()},
        "score": _shown(turn.score),
        "feedback": [feedback(said) for said in turn.feedback],
        "stopped": turn.stopped,
        "model": model,
        "remembered": True,
    }


def feedback(said: Feedback) -> dict[str, Any]:
    """What was said of a turn, as JSON values, less what is empty."""
    facts = {"by": said.by, "score": said.score, "text": _shortened(said.text), "source": said.source}
    facts |= {"signal": said.signal, "at": None if said.at is None else said.at.timestamp()}
    return {name: value for name, value in facts.items() if value not in (None, "")}


def _shown(value: Any) -> Any:
    try:
        return _shortened(to_json(value))
    except (UnsupportedValueError, RecursionError):
        return f"({type(value).__qualname__}, which JSON cannot hold)"


def _shortened(value: Any) -> Any:
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return f"{value[:LONGEST_TEXT]}… ({len(value) - LONGEST_TEXT} characters more)"
    if isinstance(value, list):
        return [_shortened(item) for item in value]
    if isinstance(value, dict):
        return {name: _shortened(item) for name, item in value.items()}
    return value
