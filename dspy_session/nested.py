"""A call from inside a turn of the same conversation is part of that turn: it stands when the turn does, or not at all.

Such a call comes from a tool or a program that calls its own session. What it changes shows at once, in the state; a
store and the hooks hear of it with the turn around it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from dspy_session.frame import Frame
from dspy_session.plan import Plan
from dspy_session.remember import apply
from dspy_session.state import Outcome
from dspy_session.turn import Turn

if TYPE_CHECKING:
    from dspy_session.engine import Engine

_folding = threading.Lock()  # the calls inside one turn may end side by side, in DSPy's threads


def gathered(frame: Frame, outcome: Outcome) -> Outcome:
    """What a call changes, with what the calls inside it did; the state is again as it was before them."""
    if frame.inner is None or frame.before is None:
        return outcome
    with _folding:
        frame.state.restore(frame.before)
    return frame.inner.then(outcome)


def take_in(engine: Engine, plan: Plan, host: Frame, outcome: Outcome) -> None:
    """A call inside the turn of ``host`` has ended well."""
    frame = plan.frame
    with _folding:
        if frame.abandoned:
            return
        turns = apply(engine, frame.state, outcome)
        ended = outcome._replace(turns=turns)
        if frame.inner is not None:
            ended = frame.inner.then(ended)
        host.inner = ended if host.inner is None else host.inner.then(ended)
        host.tellers |= frame.tellers | {turn.id: engine for turn in turns}


def stand(engine: Engine, plan: Plan, outcome: Outcome) -> list[tuple[Engine, Turn]]:
    """Make the changes of a call that is part of no other: the turns, each with the session that tells its hooks."""
    frame = plan.frame
    turns = apply(engine, frame.state, outcome)
    if not (engine.options.on_turn or frame.tellers):
        return []
    return [(frame.tellers.get(turn.id, engine), turn) for turn in turns] if plan.kept else []
