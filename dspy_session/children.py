"""The children of a ``with_memory`` program while the program runs: what each sees, and where its turns go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import dspy

from dspy_session.binding import Binding, own_signature
from dspy_session.frame import Frame, NodeLedger, opened
from dspy_session.plan import Plan
from dspy_session.record import recorded_inputs
from dspy_session.remember import turn_of
from dspy_session.signatures import names_of

if TYPE_CHECKING:
    from dspy_session.engine import Engine
    from dspy_session.reach import Node


class Visit(NamedTuple):
    """A reached predictor is called inside a session's call.

    Args:
        frame: The call that it is called in.
        binding: How the session reaches it.
        predictor: The predictor.
        base: Its own ``__call__`` or ``acall``.
        args: What it was called with.
        kwargs: Likewise.
    """

    frame: Frame
    binding: Binding
    predictor: dspy.Predict
    base: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def visit(engine: Engine, call: Visit) -> Any:
    """A reached predictor is called: hand it its history, and keep its turn if it is a child."""
    node = engine.nodes.get(call.binding.path)
    if node is None:
        return call.base(*call.args, **_with_history(call.frame.root, call))
    inner, ledger = node_frame(engine, call.frame.root, node, call.binding.path)
    inputs = _inputs(call)
    with opened(inner):
        result = call.base(*call.args, **_with_history(inner, call))
    if call.predictor is node.module:  # a copy that a BestOfN made remembers nothing
        keep_in_ledger(Plan(inner, {}, inputs, ledger=ledger), result)
    return result


async def avisit(engine: Engine, call: Visit) -> Any:
    """The same from a task."""
    node = engine.nodes.get(call.binding.path)
    if node is None:
        return await call.base(*call.args, **_with_history(call.frame.root, call))
    inner, ledger = node_frame(engine, call.frame.root, node, call.binding.path)
    inputs = _inputs(call)
    with opened(inner):
        result = await call.base(*call.args, **_with_history(inner, call))
    if call.predictor is node.module:
        keep_in_ledger(Plan(inner, {}, inputs, ledger=ledger), result)
    return result


def node_frame(engine: Engine, root: Frame, node: Node, path: str) -> tuple[Frame, NodeLedger | None]:
    """The frame of a child's call inside the call of ``root``, and where its turn goes; nowhere if it is None."""
    if node.policy.isolation == "shared":
        return Frame(engine, root.state, root.saw, path, root, recording=False), None
    ledger = root.ledger(path)
    working, seed = ledger.working, ledger.working.seed
    if node.engine is None:
        saw = working.saw(node.policy.max_turns, node.over(seed or ()))
    else:
        view = node.over(node.engine.seed or () if seed is None else seed)
        saw = node.engine.shortened(working, node.policy.max_turns, view)
    recording = root.recording and node.policy.lifespan != "stateless"
    frame = Frame(engine, working, saw, path, root, recording=recording)
    frame.nodes = ledger.nodes
    return frame, ledger


def keep_in_ledger(plan: Plan, result: Any) -> None:
    """A child's call came to its end: its turn waits in the ledger for the end of the root's."""
    if plan.ledger is None or not plan.frame.recording or plan.frame.abandoned:
        return
    plan.ledger.add(turn_of(plan, result, 0))


def _inputs(call: Visit) -> dict[str, Any]:
    return recorded_inputs(call.kwargs, names_of(own_signature(call.predictor))[0] - {call.binding.field})


def _with_history(frame: Frame, call: Visit) -> dict[str, Any]:
    field = call.binding.field
    if call.kwargs.get(field) is not None:
        return call.kwargs
    return {**call.kwargs, field: frame.injected()}
