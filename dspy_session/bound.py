"""Which state a session works on here and now."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, NamedTuple

import dspy

from dspy_session.frame import Rehearsal
from dspy_session.settings import setting
from dspy_session.state import Outcome, SessionState

BOUND = "dspy_session_bound"
"""Name of the DSPy setting that holds which state each session works on, by the session's key."""

_ENTERED = "dspy_session_entered"
"""Name of the DSPy setting that holds the innermost block that binds a state: each task leaves its own."""

Commit = Callable[[Outcome], Awaitable[None]]


class Bound(NamedTuple):
    """The state that a session works on.

    Args:
        state: The state.
        commit: Awaited with what a call changes, before the state changes; raising undoes the call.
        rehearsed: True when it was bound inside an evaluated example, which may change it as it likes.
        rehearsal: In an evaluation or an optimizer, that of this example.
    """

    state: SessionState
    commit: Commit | None = None
    rehearsed: bool = False
    rehearsal: Rehearsal | None = None


def bound_state(key: str) -> Bound | None:
    """What is bound for the session of this key here and now; None when nothing is."""
    states: Mapping[str, Bound] | None = setting(BOUND)
    return states.get(key) if states else None


class StateBinding:
    """Binds a state for the time of a ``with`` or ``async with`` block; ``Session.use_state`` makes one.

    It may be entered again, by several tasks and threads at once too.
    """

    def __init__(self, key: str, bound: Bound) -> None:
        self._key = key
        self._bound = bound

    def __enter__(self) -> SessionState:
        states: Mapping[str, Bound] = setting(BOUND) or {}
        entered: list[Any] = []
        entered.append(dspy.context(**{BOUND: {**states, self._key: self._bound}, _ENTERED: entered}))
        entered[0].__enter__()
        return self._bound.state

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        setting(_ENTERED)[0].__exit__(kind, error, trace)

    async def __aenter__(self) -> SessionState:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)
