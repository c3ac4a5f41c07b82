"""Which sessions reach a predictor, and which of their calls it is part of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import dspy

from dspy_session.frame import Frame, current
from dspy_session.signatures import Signature

BINDINGS = "session_bindings"
"""Where a predictor's ``__dict__`` holds the claims on it."""


@dataclass(frozen=True, slots=True)
class Binding:
    """A session's claim on a predictor.

    Args:
        path: The predictor's dotted path below the session's module; empty for the module itself.
        field: Name of the history field.
        declared: True when the predictor's own signature has that field, as a ``dspy.History``.
    """

    path: str
    field: str
    declared: bool


def bindings(predictor: dspy.Predict) -> Mapping[str, Binding]:
    """The claims on a predictor by the sessions' keys, oldest first."""
    held: Mapping[str, Binding] = vars(predictor).get(BINDINGS, {})
    return held


def set_bindings(predictor: dspy.Predict, held: Mapping[str, Binding]) -> None:
    """Replace the claims on a predictor; they are never changed in place, as shallow copies share them."""
    if held:
        vars(predictor)[BINDINGS] = held
    else:
        vars(predictor).pop(BINDINGS, None)


def own_signature(predictor: dspy.Predict) -> Signature:
    """The signature that a predictor has without any session."""
    signature: Signature = vars(predictor)["signature"]
    return signature


def visit(predictor: dspy.Predict) -> tuple[Frame, Binding] | None:
    """The innermost call under way whose session reaches a predictor, and how; None outside of every such call."""
    frame = current()
    if frame is None:
        return None
    held = bindings(predictor)
    while frame is not None:
        binding = held.get(frame.engine.key)
        if binding is not None:
            return frame, binding
        frame = frame.outer
    return None
