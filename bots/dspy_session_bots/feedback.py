"""What people said of turns, out of a journal: for programs, and in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from dspy_session.conversation.entries import feedback_of
from dspy_session.feedback import Feedback, standing
from dspy_session.stores import Entry
from dspy_session_bots.console import harmless
from dspy_session_bots.moments import iso

SCORE, SIGNAL = "score", "signal"
"""The kinds of the entries that hold it."""

_DONE = {"retried": "asked for another answer", "undone": "took it back", "resent": "wrote anew what they had asked"}


def said_of_turns(entries: Iterable[tuple[Entry, Mapping[str, Any]]]) -> dict[int, tuple[Feedback, ...]]:
    """What stands of all that was said, by the numbers of the turns.

    Args:
        entries: Entries with their bodies, in order; those of other kinds say nothing.
    """
    said: dict[int, list[Feedback]] = {}
    for entry, body in entries:
        if entry.kind in (SCORE, SIGNAL) and entry.about is not None:
            said.setdefault(entry.about, []).append(feedback_of(entry, body))
    return {number: standing(each) for number, each in said.items()}


def to_json(feedback: Feedback) -> dict[str, Any]:
    """Feedback for programs, less what it does not have."""
    written = asdict(feedback) | {"at": None if feedback.at is None else iso(feedback.at.timestamp())}
    return {name: value for name, value in written.items() if value not in (None, "")}


def in_words(feedback: Feedback) -> str:
    """Feedback for people: who, what, how, and their words."""
    who = harmless(feedback.by) or "somebody"
    if feedback.signal is not None:
        return f"{who} {_DONE.get(feedback.signal, harmless(feedback.signal))}"
    how = f" ({harmless(feedback.source)})" if feedback.source else ""
    words = f": {harmless(feedback.text)}" if feedback.text else ""
    return f"{who} gave it {feedback.score:g}{how}{words}"
