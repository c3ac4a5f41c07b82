"""Whether a call belongs to an evaluation or an optimizer, where examples must not see one another."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FrameType

_REPLAYING = ("dspy.evaluate", "dspy.teleprompt")
_SERVING = "dspy.teleprompt.ensemble"  # what an Ensemble compiles is a program for use
_PARALLEL = "dspy.utils.parallelizer"


def is_replay() -> bool:
    """True when ``dspy.Evaluate`` or a DSPy optimizer has this call made, also by way of a ``dspy.Parallel``.

    DSPy marks neither its settings nor its threads for this (3.4), and both call a program as anybody would, so the
    stack is the only place that tells. Costs some 50 ns a frame.
    """
    stacks = [sys._getframe(1)]  # noqa: SLF001  # documented, and there is no other way to the stack
    executors: list[object] = []
    while stacks:
        frame: FrameType | None = stacks.pop()
        while frame is not None:  # no generator: every call of a session comes by here
            name = frame.f_globals.get("__name__", "")
            if name.startswith(_REPLAYING) and name != _SERVING:
                return True
            if name == _PARALLEL and frame.f_code.co_name == "worker":  # where a thread of an executor starts
                executor = frame.f_locals["self"]
                if not any(known is executor for known in executors):
                    executors.append(executor)
                    stacks += _waiting_for(executor)
            frame = frame.f_back
    return False


def _waiting_for(executor: object) -> list[FrameType]:
    """Where other threads wait for what ``executor`` does."""
    return [
        frame
        for top in sys._current_frames().values()  # noqa: SLF001  # as above
        for frame in _outward(top)
        if frame.f_code.co_name == "execute"
        and frame.f_globals.get("__name__") == _PARALLEL
        and frame.f_locals["self"] is executor
    ]


def _outward(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back
