"""How much of a conversation a session needs to go on with it."""

from __future__ import annotations

from dspy_session.session import Session


def window_of(session: Session) -> int | None:
    """How many of the newest turns a call may see or keep, of its own and of its children; None for all."""
    windows = [_own(session), *(_own(child) for child in session.children.values())]
    known = [window for window in windows if window is not None]
    return max(known) if len(known) == len(windows) else None


def _own(session: Session) -> int | None:
    if session.reducer is not None:  # it is given the state, and may look at all of it
        return None
    limits = [limit for limit in (session.max_turns, session.max_stored_turns) if limit is not None]
    return min(limits) if limits else None
