"""Scores of turns."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any

import dspy

from dspy_session.examples import example_of
from dspy_session.turn import Turn

logger = logging.getLogger(__name__)


def scored(
    turn: Turn, metric: Callable[..., Any], gold: dspy.Example | None, history_field: str, on_error: str
) -> float:
    """Score one turn and keep the score with it."""
    example = gold if gold is not None else example_of(turn, history_field)
    prediction = dspy.Prediction(turn.outputs)
    try:
        score = _number(_asked(metric, example, prediction))
    except Exception:
        if on_error == "raise":
            raise
        logger.warning("The metric failed on turn %d, which scores 0.0.", turn.index, exc_info=True)
        score = 0.0
    turn.score = score
    return score


def _asked(metric: Callable[..., Any], example: dspy.Example, prediction: dspy.Prediction) -> Any:
    """What a metric says; called once, in the way that its parameters ask for."""
    try:
        signature = inspect.signature(metric)
    except (TypeError, ValueError):  # written in C
        return metric(example, prediction, trace=None)
    if _fits(signature, example, prediction, trace=None):
        return metric(example, prediction, trace=None)
    if _fits(signature, example, prediction):
        return metric(example, prediction)
    # The trace under another name, or the five arguments of a metric for GEPA.
    rest = [None] * (sum(parameter.default is parameter.empty for parameter in signature.parameters.values()) - 2)
    return metric(example, prediction, *rest)


def _fits(signature: inspect.Signature, *args: Any, **kwargs: Any) -> bool:
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        return False
    return True


def _number(result: Any) -> float:
    if result is None:
        return 0.0
    if isinstance(result, dspy.Prediction):  # a GEPA metric returns its score with feedback
        return float(result.score)
    return float(result)
