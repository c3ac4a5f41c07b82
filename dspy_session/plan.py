"""What a call of a session does, decided before anything runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import dspy

from dspy_session.bound import Bound
from dspy_session.frame import Frame, NodeLedger
from dspy_session.history import Snapshot
from dspy_session.record import recorded_inputs
from dspy_session.state import SessionState

if TYPE_CHECKING:
    from dspy_session.engine import Engine


class Plan(NamedTuple):
    """What one call does.

    Args:
        frame: The call as the program sees it.
        kwargs: What the program is called with.
        inputs: What the turn will keep of them.
        replaces: A history that becomes the seed and clears the turns once the call succeeds.
        kept: False when the turn is nobody's: no hook, no commit.
        ledger: Where the turn goes when the session is a child in somebody else's call.
        host: The call around this one that it is part of, because it works on the same state.
    """

    frame: Frame
    kwargs: dict[str, Any]
    inputs: dict[str, Any]
    replaces: dspy.History | None = None
    kept: bool = True
    ledger: NodeLedger | None = None
    host: Frame | None = None


def plan_call(engine: Engine, bound: Bound, given: dict[str, Any], outer: Frame | None) -> Plan:
    """What a call with the arguments ``given`` does to the state that is bound.

    Raises:
        TypeError: The history given is no ``dspy.History``.
    """
    state = bound.state
    explicit, others = _apart(engine, given)
    policy = engine.options.history_policy
    recording = engine.options.lifespan != "stateless"
    if explicit is None:
        saw = engine.saw(state)
    elif policy == "replace_session":
        saw = engine.saw(SessionState((), explicit, state.l2_memory))
    else:
        saw = Snapshot.of(explicit)
        recording = recording and policy == "use_if_provided"
    frame = Frame(engine, state, saw, outer=outer, recording=recording, rehearsal=bound.rehearsal)
    host = None if outer is None else frame.host()
    if host is not None and host.before is None:
        host.before = state.branch()
    replaces = explicit if policy == "replace_session" else None
    kept = recording and bound.rehearsal is None
    program = engine.program
    inputs = recorded_inputs(others, program.inputs)
    parameter = program.history_parameter
    kwargs = others if parameter is None else {**others, parameter: frame.hand_out()}
    return Plan(frame, kwargs, inputs, replaces, kept, None, host)


def plan_child_call(engine: Engine, frame: Frame, ledger: NodeLedger | None, given: dict[str, Any]) -> Plan:
    """What a call does when the session is a child in another session's call."""
    explicit, others = _apart(engine, given)
    if explicit is not None:
        frame.saw = Snapshot.of(explicit)
        frame.recording = frame.recording and engine.options.history_policy != "override"
    program = engine.program
    inputs = recorded_inputs(others, program.inputs)
    parameter = program.history_parameter
    kwargs = others if parameter is None else {**others, parameter: frame.hand_out()}
    return Plan(frame, kwargs, inputs, kept=False, ledger=ledger)


def _apart(engine: Engine, given: dict[str, Any]) -> tuple[dspy.History | None, dict[str, Any]]:
    """The history that the caller brings, None when there is none, and the other arguments."""
    names = engine.history_names
    if names.isdisjoint(given):
        return None, given
    others = {name: value for name, value in given.items() if name not in names}
    explicit = next((given[name] for name in names if given.get(name) is not None), None)
    if explicit is not None and not isinstance(explicit, dspy.History):
        raise TypeError(
            f"{engine.options.history_field} must be a dspy.History; got {type(explicit).__name__}: "
            "wrap the messages in dspy.History(messages=[...])"
        )
    return explicit, others
