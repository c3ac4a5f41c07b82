"""From turns to examples for optimizers. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import dspy

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
