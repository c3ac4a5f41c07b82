"""Whether a call belongs to an evaluation or an optimizer, where examples must not see one another."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import lru_cache
from types import FrameType

_REPLAYING = ("dspy.evaluate", "dspy.teleprompt")
_SERVING = "dspy.teleprompt.ensemble"  # what an Ensemble compiles is a program for use
_PARALLEL = "dspy.utils.parallelizer"


def is_replay(inner: int = 1) -> bool:
    """True when ``dspy.Evaluate`` or a DSPy optimizer has this call made, also by way of a ``dspy.Parallel``.

    DSPy marks neither its settings nor its threads for this (3.4), and both call a program as anybody would, so the
    stack is the only place that tells. Costs some 100 ns a frame.

    Args:
        inner: How many of the innermost frames, this function's among them, are known to be others.
    """
    innermost: FrameType = sys._getframe(inner)  # noqa: SLF001  # documented, and there is no other way to the stack
    frame: FrameType | None = innermost
    while frame is not None:  # as little as can be: every call of a session comes by here
        if _told(frame.f_globals.get("__name__", "")) is not None:
            return _belongs_to_replay(innermost)
        frame = frame.f_back
    return False


def _belongs_to_replay(innermost: FrameType) -> bool:
    """True when an evaluation or an optimizer is among the frames, or among those that wait for an executor's."""
    stacks = [innermost]
    executors: list[object] = []
    while stacks:
        for frame in _outward(stacks.pop()):
            place = _told(frame.f_globals.get("__name__", ""))
            if place is _REPLAYING:
                return True
            if place is _PARALLEL and frame.f_code.co_name == "worker":  # where a thread of an executor starts
                executor = frame.f_locals["self"]
                if not any(known is executor for known in executors):
                    executors.append(executor)
                    stacks += _waiting_for(executor)
    return False


@lru_cache(maxsize=4096)
def _told(module: str) -> object:
    """What a frame of the module tells: ``_REPLAYING``, ``_PARALLEL``, or nothing."""
    if module.startswith(_REPLAYING) and module != _SERVING:
        return _REPLAYING
    return _PARALLEL if module == _PARALLEL else None


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
