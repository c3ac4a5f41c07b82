"""Who holds the lock of a conversation: a call from inside a turn, or from its hooks, does not ask for it again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from dspy_session.settings import set_here, setting, unset_here
from dspy_session.state import SessionState

HELD = "dspy_session_held"
"""Name of the DSPy setting that holds which locks the calls around hold."""


class _Hold:
    """A state's lock, held by a call around this one until ``over``."""

    __slots__ = ("around", "over", "state")

    def __init__(self, state: SessionState, around: _Hold | None) -> None:
        self.state = state
        self.around = around
        self.over = False


@contextmanager
def holding(state: SessionState) -> Iterator[None]:
    """Whoever is called in this block, hooks included, knows that the lock of ``state`` is held for it."""
    hold = _Hold(state, setting(HELD))
    token = set_here(HELD, hold)
    try:
        yield
    finally:
        unset_here(token)
        hold.over = True  # for tasks that live on


def is_held(state: SessionState) -> bool:
    """True when a call around this one holds the lock of ``state``."""
    hold: _Hold | None = setting(HELD)
    while hold is not None:
        if hold.state is state and not hold.over:
            return True
        hold = hold.around
    return False


@contextmanager
def locked(state: SessionState) -> Iterator[None]:
    """Hold the lock of ``state``, from synchronous code."""
    state.lock.acquire()
    try:
        with holding(state):
            yield
    finally:
        state.lock.release()


@asynccontextmanager
async def alocked(state: SessionState) -> AsyncIterator[None]:
    """The same from a task."""
    await state.lock.aacquire()  # not ``ahold``: one context manager takes half the time of two
    try:
        with holding(state):
            yield
    finally:
        state.lock.release()
