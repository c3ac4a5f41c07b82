"""A ``dspy.Predict`` with a long history: through a session, and with a History field as DSPy has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from statistics import median
from typing import Any

import dspy
from dspy.adapters.baml_adapter import BAMLAdapter
from measure import seconds
from programs import model
from row import Row
from worker import Run

ROUNDS = 15
_CHAT = "[[ ## answer ## ]]\nIt is fine.\n\n[[ ## completed ## ]]"
_JSON = '{"answer": "It is fine."}'
_XML = "<answer>\nIt is fine.\n</answer>"


class _OwnAdapter(dspy.ChatAdapter):
    """Stands for whatever somebody makes of an adapter."""


def _template() -> dspy.Adapter:
    from dspy_template_adapter import TemplateAdapter

    messages = [
        {"role": "system", "content": "Answer."},
        {"role": "history"},
        {"role": "user", "content": "{question}"},
    ]
    return TemplateAdapter(messages=messages, parse_mode="full_text")


_ADAPTERS: dict[str, tuple[Callable[[], dspy.Adapter], str, float]] = {
    "ChatAdapter": (dspy.ChatAdapter, _CHAT, 0.6),
    "JSONAdapter": (dspy.JSONAdapter, _JSON, 0.6),
    "XMLAdapter": (dspy.XMLAdapter, _XML, 0.6),
    "BAMLAdapter": (BAMLAdapter, _JSON, 0.6),
    "TwoStepAdapter": (lambda: dspy.TwoStepAdapter(model(_CHAT)), _CHAT, 0.6),
    "a subclass of ChatAdapter": (_OwnAdapter, _CHAT, 1.15),
    "TemplateAdapter": (_template, _CHAT, 1.15),
}


@lru_cache
def _prepared(adapter: str, messages: int) -> tuple[dict[str, Any], dict[str, Callable[[], Any]], Any]:
    from dspy_session import Session

    make, said, _ = _ADAPTERS[adapter]
    said_before = [
        {
            "question": f"What about number {place}, and why?" * 3,
            "answer": f"Number {place} is fine, because it is." * 3,
        }
        for place in range(messages)
    ]
    without_history = dspy.Predict("question -> answer")
    with_history = dspy.Predict("question, history: dspy.History -> answer")
    history = dspy.History(messages=said_before)
    session = Session(dspy.Predict("question -> answer"), max_turns=messages)
    for message in said_before:
        session.add_turn({"question": message["question"]}, {"answer": message["answer"]})
    subjects = {
        "none": lambda: without_history(question="And now?"),
        "bare": lambda: with_history(question="And now?", history=history),
        "ours": lambda: session(question="And now?"),
    }
    return {"lm": model(said), "adapter": make()}, subjects, session


def calls(adapter: str, messages: int, times: int) -> dict[str, float]:
    """Seconds of a call: without a history, with one as DSPy has it, and through a session."""
    settings, subjects, session = _prepared(adapter, messages)
    found = {}
    for name, call in subjects.items():
        with dspy.context(**settings, disable_history=True, trace=[]):
            found[name] = seconds(call, times)
    session.undo(times)
    return found


def rows(run: Run) -> Iterator[Row]:
    """The lines of the table."""
    for messages, times in ((20, 10), (200, 2)):
        for adapter, (_, _, limit) in _ADAPTERS.items():
            found = [run.ours(calls, adapter=adapter, messages=messages, times=times) for _ in range(ROUNDS)]
            run.keep(f"{adapter}, {messages} messages", found)
            yield Row.of(
                f"Predict, {messages} messages, {adapter}",
                "s",
                [sample["ours"] for sample in found],
                [sample["bare"] for sample in found],
                peer_name="bare History",
                limit=limit,
                note=_two_step(found) if adapter == "TwoStepAdapter" else "",
            )


def _two_step(found: list[dict[str, float]]) -> str:
    share = median(sample["none"] / sample["bare"] for sample in found)
    return (
        f"bare, it writes the history as one JSON text, and {share:.0%} of its time goes without any history; "
        "a session shows it chat messages"
    )
