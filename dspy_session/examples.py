"""From turns to examples for optimizers, and from a file that holds them. Pure but for reading that file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any

import dspy

from dspy_session.errors import StateFileError
from dspy_session.files import history_from_json, history_to_json, record_from_json, record_to_json
from dspy_session.history import Snapshot
from dspy_session.turn import Turn


def example_of(turn: Turn, history_field: str | None) -> dspy.Example:
    """A turn as an example: its inputs, the history that it saw, and its outputs as labels.

    Args:
        turn: The turn.
        history_field: Name for the history; None to leave it out.
    """
    inputs = turn.inputs
    if history_field is not None:
        inputs[history_field] = turn.history_snapshot
    # An output that is named like an input must not change what a replay is called with.
    # As one dict, because a field may be named like a parameter of Example.
    example: dspy.Example = dspy.Example({**inputs, **turn.outputs, **inputs}).with_inputs(*inputs)
    return example


def from_turns(
    turns: Iterable[Turn],
    history_field: str | None,
    min_score: float | None,
    strict_trajectory: bool,
    require_outputs: bool,
) -> list[dspy.Example]:
    """The turns that are good enough, as examples; ``Session.to_examples`` says what each argument means."""
    examples = []
    for turn in turns:
        too_low = min_score is not None and (turn.score is None or turn.score < min_score)
        if too_low or (require_outputs and (turn.stopped or not turn.outputs)):
            if strict_trajectory:
                break
            continue
        examples.append(example_of(turn, history_field))
    return examples


def example_to_json(turn: Turn) -> dict[str, Any]:
    """A turn as a line of a file of examples: JSON values.

    Raises:
        UnsupportedValueError: A value cannot be written and read back equal; the message names its field.
    """
    return {
        **record_to_json(turn.record, f"turn {turn.index}"),
        "history": history_to_json(turn.history_snapshot, f"turn {turn.index}.history"),
    }


def read_examples(path: str | PathLike[str], history_field: str | None = "history") -> list[dspy.Example]:
    """The examples in a file that ``dspy-bots conversations examples`` wrote, as ``Session.to_examples`` makes them.

    Args:
        path: The file, an example on each line.
        history_field: The program's input that takes the history; None to leave the histories out.

    Raises:
        StateFileError: The file cannot be read, or a line is no example; the message says which, and why.
    """
    try:
        with Path(path).open(encoding="utf-8", errors="surrogateescape") as file:
            lines = ((f"{path}, line {number}", line) for number, line in enumerate(file, 1) if line.strip())
            return [_from_line(line, where, history_field) for where, line in lines]
    except OSError as error:
        raise StateFileError(
            f"cannot read {path}: {error.strerror}; dspy-bots conversations examples --output FILE writes one"
        ) from None


def _from_line(line: str, where: str, history_field: str | None) -> dspy.Example:
    try:
        line.encode()
        written = json.loads(line)
    except (ValueError, RecursionError) as error:
        reason = "it is not UTF-8" if isinstance(error, UnicodeEncodeError) else f"it is not JSON ({error})"
        raise StateFileError(f"{where} is damaged: {reason}") from None
    record = record_from_json(written, where)
    saw = Snapshot.of(history_from_json(written.get("history"), f"{where}: history"))
    return example_of(Turn.of(record, 0, saw), history_field)
