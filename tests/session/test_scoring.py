"""Scores: what a metric is called with, and what becomes of what it says."""

from __future__ import annotations

import functools
import logging
from typing import Any

import dspy
import pytest

from dspy_session import Session, sessionify
from tests.session.programs import Scripted

SEED = dspy.History(messages=[{"question": "s", "answer": "a"}])


def talked(*questions: str, **options: Any) -> Session:
    session = sessionify(Scripted(), **options)
    for question in questions:
        session(question=question)
    return session


def test_each_turn_is_scored_once_and_keeps_its_score() -> None:
    calls: list[tuple[Any, Any, Any]] = []

    def metric(example: dspy.Example, prediction: dspy.Prediction, trace: Any = "nothing given") -> float:
        calls.append((example, prediction, trace))
        return len(calls) / 2

    session = talked("a", "b", initial_history=SEED)
    assert session.score(metric) == [0.5, 1.0]
    assert [turn.score for turn in session.turns] == [0.5, 1.0]
    example, prediction, trace = calls[1]
    assert trace is None
    assert isinstance(prediction, dspy.Prediction)
    assert prediction.answer == "b after 2"
    assert example.toDict() == {
        "question": "b",
        "answer": "b after 2",
        "history": {"messages": [*SEED.messages, {"question": "a", "answer": "a after 1"}]},
    }
    assert set(example.inputs().keys()) == {"question", "history"}


def test_gold_is_the_example_of_every_turn() -> None:
    gold = dspy.Example(answer="b after 1")
    session = talked("a", "b")
    seen: list[dspy.Example] = []

    def metric(example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> bool:
        seen.append(example)
        return bool(example.answer == prediction.answer)

    assert session.score(metric, gold=gold) == [0.0, 1.0]
    assert seen == [gold, gold]


class Method:
    def metric(self, example: Any, prediction: Any, trace: Any = None) -> int:
        return 2


def positional(example: Any, prediction: Any, other: Any, /) -> int:
    assert other is None
    return 2


def five(gold: Any, pred: Any, trace: Any, pred_name: Any, pred_trace: Any) -> int:
    assert (trace, pred_name, pred_trace) == (None, None, None)
    return 2


@pytest.mark.parametrize(
    "metric",
    [
        lambda example, prediction: 2,
        lambda example, prediction, trace: 2,
        lambda example, prediction, trace=1: 2 if trace is None else 0,
        lambda example, prediction, _trace: 2,
        lambda example, prediction, *more: 2 if more in ((), (None,)) else 0,
        lambda example, prediction, weight=2: weight,
        lambda *arguments: 2,
        lambda example, prediction, **more: 2 if more == {"trace": None} else 0,
        lambda example, prediction, *, trace: 2,
        Method().metric,
        functools.partial(lambda weight, example, prediction: weight, 2),
        positional,
        five,
    ],
)
def test_metrics_of_many_shapes(metric: Any) -> None:
    assert talked("a", on_metric_error="raise").score(metric) == [2.0]


@pytest.mark.parametrize(
    ("result", "score"),
    [
        (None, 0.0),
        (True, 1.0),
        (False, 0.0),
        (3, 3.0),
        (0.25, 0.25),
        ("0.5", 0.5),
        (dspy.Prediction(score=0.75, feedback="good"), 0.75),
        (dspy.Prediction(score=True), 1.0),
    ],
)
def test_scores_are_numbers(result: Any, score: float) -> None:
    session = talked("a")
    assert session.score(lambda *_: result) == [score]
    assert type(session.turns[0].score) is float


def fails(example: Any, prediction: Any, trace: Any = None) -> float:
    return 1 / (len(prediction.answer) - len("bb after 1"))


def test_a_metric_error_is_zero_and_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    session = talked("a", "bb", "c")
    assert session.score(fails) == [-1.0, 0.0, -1.0]
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == "The metric failed on turn 1, which scores 0.0."
    assert "ZeroDivisionError" in caplog.text
    assert session.score(lambda *_: "good") == [0.0, 0.0, 0.0]


def test_a_metric_error_is_raised_where_that_is_asked_for() -> None:
    session = talked("a", "bb", on_metric_error="raise")
    with pytest.raises(ZeroDivisionError):
        session.score(fails)
    assert [turn.score for turn in session.turns] == [-1.0, None]


def test_a_type_error_of_the_metrics_own_is_not_a_reason_to_call_it_again() -> None:
    calls = []

    def metric(example: Any, prediction: Any, trace: Any = None) -> float:
        calls.append(1)
        raise TypeError("my own")

    assert talked("a").score(metric) == [0.0]
    assert len(calls) == 1


def test_a_metric_without_a_signature_is_asked_as_any_other(caplog: pytest.LogCaptureFixture) -> None:
    assert talked("a").score(max) == [0.0]
    assert "max" in caplog.text


def test_fields_with_unlucky_names_are_scored_too() -> None:
    class Named(dspy.Module):
        def forward(self, base: str, self_: str = "") -> dict[str, str]:
            return {"base": base.upper(), "signature": "s", "completions": "c"}

    session = sessionify(Named(), on_metric_error="raise")
    session(base="a")
    assert session.score(lambda example, prediction: example["base"] + prediction["base"] == "aA") == [1.0]


def test_scores_follow_the_bound_state() -> None:
    session = talked("a")
    with session.use_state(session.new_state()):
        session(question="b")
        session.score(lambda *_: 1)
        assert session.turns[0].score == 1.0
    assert session.turns[0].score is None
    assert session.score(lambda *_: 1) == [1.0]
