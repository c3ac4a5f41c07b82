"""Whether a call belongs to an evaluation or an optimizer, where examples must not see one another."""

from __future__ import annotations

import sys

_REPLAYING = ("dspy.evaluate", "dspy.teleprompt")


def is_replay() -> bool:
    """True when ``dspy.Evaluate`` or a DSPy optimizer stands somewhere on this thread's stack.

    DSPy marks neither its settings nor its threads for this (3.4), and both call a program as anybody would, so the
    stack is the only place that tells. Costs some 50 ns a frame.
    """
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_globals.get("__name__")
        if name is not None and name.startswith(_REPLAYING):
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False
