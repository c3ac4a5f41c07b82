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
    prediction = dspy.Prediction(**turn.outputs)
    try:
        result = metric(example, prediction, trace=None) if _takes_trace(metric) else metric(example, prediction)
        score = _number(result)
    except Exception:
        if on_error == "raise":
            raise
        logger.warning("The metric failed on turn %d, which scores 0.0.", turn.index, exc_info=True)
        score = 0.0
    turn.score = score
    return score


def _number(result: Any) -> float:
    if result is None:
        return 0.0
    if isinstance(result, dspy.Prediction):  # a GEPA metric returns its score with feedback
        return float(result.score)
    return float(result)


def _takes_trace(metric: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(metric).parameters
    except (TypeError, ValueError):
        return True
    kinds = [parameter.kind for parameter in parameters.values()]
    return "trace" in parameters or inspect.Parameter.VAR_KEYWORD in kinds
