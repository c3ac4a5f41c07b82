"""What of a call is kept. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dspy
import pydantic


def recorded_inputs(
    inputs: Mapping[str, Any], known: frozenset[str] | None, history_names: frozenset[str]
) -> dict[str, Any]:
    """The inputs that a turn keeps: those that the program knows, less the history."""
    return {
        name: value
        for name, value in inputs.items()
        if name not in history_names and (known is None or name in known)
    }


def recorded_outputs(result: Any) -> dict[str, Any]:
    """The outputs that a turn keeps: a prediction's fields, a dict's items, a model's fields, else ``{"output": …}``.

    A ``dspy.History`` among them is left out: a ReActV2 returns the one that it was given, and to keep it would make
    every turn hold all turns before it.
    """
    if isinstance(result, dspy.Example):  # a Prediction is one
        items: dict[str, Any] = dict(result.items(include_dspy=False))
    elif isinstance(result, dict):
        items = {str(name): value for name, value in result.items()}
    elif isinstance(result, pydantic.BaseModel):
        items = result.model_dump()
    else:
        items = {"output": result}
    return {name: value for name, value in items.items() if not isinstance(value, dspy.History)}
