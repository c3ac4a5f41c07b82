"""The call that is under way. It travels among DSPy's settings, so that DSPy's own threads see it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias

import dspy

from dspy_session.history import Snapshot
from dspy_session.settings import set_here, setting, unset_here
from dspy_session.turn import Turn

if TYPE_CHECKING:
    from dspy_session.engine import Engine
    from dspy_session.rendering import Layout
    from dspy_session.state import Outcome, SessionState

FRAME = "dspy_session_frame"
"""Name of the DSPy setting that holds the innermost ``Frame``."""

Rehearsal: TypeAlias = "dict[SessionState, SessionState]"
"""The states that stand in for the real ones in one example of an evaluation or an optimizer."""


class Frame:
    """One call of a session or of a node inside it, from its start until its turn is recorded.

    Args:
        engine: Of the session that is called.
        state: The state that it works on.
        saw: The history of this call.
        path: The node's dotted path; empty for the session itself.
        outer: The frame around this one.
        recording: False when nothing of this call is kept.
        rehearsal: In an evaluation or an optimizer, that of this example; None elsewhere.

    Calls from inside this one on the same state are part of it: ``before`` is what stood before the first of them,
    ``inner`` what they changed, ``tellers`` the sessions whose hooks hear of their turns, by the turns' ids.
    """

    __slots__ = (
        "_injected",
        "before",
        "closed",
        "engine",
        "failed",
        "handed",
        "inner",
        "layouts",
        "nodes",
        "outer",
        "path",
        "recording",
        "rehearsal",
        "saw",
        "state",
        "tellers",
    )

    def __init__(
        self,
        engine: Engine,
        state: SessionState,
        saw: Snapshot,
        path: str = "",
        outer: Frame | None = None,
        *,
        recording: bool = True,
        rehearsal: Rehearsal | None = None,
    ) -> None:
        self.engine = engine
        self.state = state
        self.saw = saw
        self.path = path
        self.outer = outer
        self.recording = recording
        if rehearsal is None and outer is not None:
            rehearsal = outer.rehearsal
        self.rehearsal: Rehearsal | None = rehearsal
        self.closed = False
        self.failed = False
        self.handed: list[tuple[dspy.History, int]] = []
        self.layouts: dict[Any, Layout] = {}
        self.nodes: dict[str, NodeLedger] = {}
        self.before: SessionState | None = None
        self.inner: Outcome | None = None
        self.tellers: dict[str, Engine] = {}
        self._injected: dspy.History | None = None

    @property
    def root(self) -> Frame:
        """The frame of the session's own call, when this one is a node's; an adopted session's is its own root."""
        return self.outer if self.path and self.outer is not None and self.outer.engine is self.engine else self

    def injected(self) -> dspy.History:
        """The history that predictors are called with, the same object throughout the call."""
        if self._injected is None:
            self._injected = self.hand_out()
        return self._injected

    def hand_out(self) -> dspy.History:
        """This call's history as an object for a program to read; ``since`` knows it again."""
        history = self.saw.history()
        self.handed.append((history, len(history.messages)))
        return history

    def adopt(self, history: dspy.History) -> None:
        """Treat an empty history as one that the outermost call handed out."""
        list(self.outward())[-1].handed.append((history, 0))

    def since(self, history: object) -> list[dict[str, Any]] | None:
        """What was added to a history that this call or one around it handed out; None if it is none of theirs."""
        for frame in self.outward():
            for known, count in frame.handed:
                if known is history:
                    return known.messages[count:]
        return None

    def host(self) -> Frame | None:
        """The call around this one in whose turn it takes part, because it works on the same state."""
        frame = self.outer
        while frame is not None and (frame.state is not self.state or frame.path or not frame.counts):
            frame = frame.outer
        return frame

    @property
    def counts(self) -> bool:
        """False once the call has ended well: what lives on after it is outside. A failed call is never left."""
        return not self.closed or self.failed

    @property
    def abandoned(self) -> bool:
        """True when this call or one around it failed or was cancelled: what goes on in its threads counts no more."""
        frame: Frame | None = self
        while frame is not None and not frame.failed:
            frame = frame.outer
        return frame is not None

    def ledger(self, path: str) -> NodeLedger:
        """What the node at ``path`` remembers, with what it did in this call so far."""
        ledger = self.nodes.get(path)
        if ledger is None:
            base = self.engine.ledger_state(self.state, path)
            made = NodeLedger(base, self.engine.nodes[path].policy.max_stored_turns)
            ledger = self.nodes.setdefault(path, made)  # the first thread's counts
        return ledger

    def outward(self) -> Iterator[Frame]:
        """This frame, the one around it, and so on."""
        frame: Frame | None = self
        while frame is not None:
            yield frame
            frame = frame.outer


class NodeLedger:
    """A node's state during one root call: what stood before, and the turns since, which count once the call succeeds.

    ``nodes`` are the ledgers of the children that the node, an adopted session, has itself.

    Args:
        base: What stood before.
        max_stored_turns: How many turns are kept; None for all.
    """

    def __init__(self, base: SessionState | None, max_stored_turns: int | None) -> None:
        from dspy_session.state import SessionState

        self.working = base.branch() if base is not None else SessionState()
        self.added: list[Turn] = []
        self.nodes: dict[str, NodeLedger] = {}
        self._max_stored_turns = max_stored_turns
        self._guard = threading.Lock()

    def add(self, turn: Turn) -> None:
        """Keep a turn for the end of the root call."""
        with self._guard:
            numbered = turn.at(self.working.next_index)
            self.working.append(numbered, self._max_stored_turns)
            self.added.append(numbered)


def current() -> Frame | None:
    """The innermost call under way here; None outside."""
    frame: Frame | None = setting(FRAME)
    if frame is None or frame.counts:
        return frame
    return next((around for around in frame.outward() if around.counts), None)


class opened:  # noqa: N801  # used like a function; a generator takes twice the time
    """The frame is the innermost one here until the block ends; a block that fails undoes what was recorded inside."""

    __slots__ = ("_frame", "_token")

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def __enter__(self) -> None:
        self._token = set_here(FRAME, self._frame)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        unset_here(self._token)
        frame = self._frame
        frame.closed, frame.failed = True, kind is not None
        if frame.failed and frame.before is not None:
            frame.state.restore(frame.before)
