"""What of a call is kept. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import dspy
import pydantic

from dspy_session.values import snapshot


def recorded_inputs(inputs: Mapping[str, Any], known: frozenset[str] | None) -> dict[str, Any]:
    """The inputs that a turn keeps: those that the program knows, as they are now, for it may change them.

    Args:
        inputs: What the call was given, less the history.
        known: The names that the program knows; None for all.
    """
    return {name: snapshot(value) for name, value in inputs.items() if known is None or name in known}


def recorded_outputs(result: Any) -> dict[str, Any]:
    """The outputs that a turn keeps: a prediction's fields, a dict's items, a model's fields, else ``{"output": …}``.

    A ``dspy.History`` among them is left out: a ReActV2 returns the one that it was given, and to keep it would make
    every turn hold all turns before it.
    """
    items: Iterable[tuple[Any, Any]]
    if isinstance(result, dspy.Example):  # a Prediction is one; its names are strings
        return {
            name: value
            for name, value in result.items()
            # Asking the class of a Pydantic model costs a microsecond, and most values are strings.
            if type(value) is str or not isinstance(value, dspy.History)
        }
    if isinstance(result, dict):
        items = result.items()
    elif isinstance(result, pydantic.BaseModel):
        items = result.model_dump().items()
    else:
        items = [("output", result)]
    return {str(name): value for name, value in items if not isinstance(value, dspy.History)}
