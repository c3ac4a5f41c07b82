"""What a successful call changes: turns, memories, and those of the children."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from dspy_session.frame import NodeLedger
from dspy_session.plan import Plan
from dspy_session.policy import NodePolicy, Options
from dspy_session.record import recorded_outputs
from dspy_session.state import Outcome, SessionState
from dspy_session.turn import Record, Turn

if TYPE_CHECKING:
    from dspy_session.engine import Engine

Place = tuple[str, ...]
"""A child's path, before it the path of the adopted session that it is a child of; empty for the root."""


def turn_of(plan: Plan, result: Any, index: int) -> Turn:
    """The turn that a call's result makes."""
    return Turn.of(Record(plan.inputs, recorded_outputs(result)), index, plan.frame.saw, None, None, time.time())


def root_turn(plan: Plan, result: Any) -> Turn | None:
    """The turn that a call's result makes; None when nothing is recorded."""
    if not plan.frame.recording:
        return None
    return turn_of(plan, result, 0 if plan.replaces is not None else plan.frame.state.next_index)


def episodes(engine: Engine, plan: Plan, turn: Turn | None) -> dict[Place, tuple[Callable[..., Any], str, list[Turn]]]:
    """What is to be consolidated after a call: by place, the consolidator, the past memory and the episode."""
    found: dict[Place, tuple[Callable[..., Any], str, list[Turn]]] = {}
    of_root = turn is not None and engine.options.lifespan == "episodic"
    if not (plan.frame.nodes or of_root) or not plan.frame.recording or plan.frame.abandoned:
        return found
    for place, policy, ledger in _ledgers(engine, plan.frame.nodes):
        if policy.lifespan == "episodic" and policy.consolidator is not None and len(ledger.working):
            found[place] = (policy.consolidator, ledger.working.l2_memory, ledger.working.turns)
    if of_root and turn is not None and engine.options.consolidator is not None:
        state = plan.frame.state
        found[()] = (engine.options.consolidator, state.l2_memory, [*state.turns, turn])
    return found


def _ledgers(
    engine: Engine, nodes: Mapping[str, NodeLedger], at: Place = ()
) -> Iterator[tuple[Place, NodePolicy, NodeLedger]]:
    """The ledgers of the children, and of their children, with their places and policies."""
    for path, ledger in nodes.items():
        node = engine.nodes[path]
        yield (*at, path), node.policy, ledger
        if node.engine is not None:
            yield from _ledgers(node.engine, ledger.nodes, (*at, path))


def _node_outcomes(
    engine: Engine, nodes: Mapping[str, NodeLedger], memories: Mapping[Place, str | None], at: Place = ()
) -> dict[str, Outcome]:
    """What a successful call changes in the states of the children."""
    outcomes = {}
    for path, ledger in nodes.items():
        node, place = engine.nodes[path], (*at, path)
        inner = {} if node.engine is None else _node_outcomes(node.engine, ledger.nodes, memories, place)
        own = _remembered(node.policy, tuple(ledger.added), memories.get(place))
        outcomes[path] = own._replace(nodes=inner)
    return outcomes


def outcome_of(engine: Engine, plan: Plan, turn: Turn | None, memories: Mapping[Place, str | None]) -> Outcome:
    """What a successful call changes in its state."""
    if not plan.frame.recording or plan.frame.abandoned:
        return Outcome()
    turns = () if turn is None else (turn,)
    root = _remembered(engine.options, turns, memories.get(()))
    if plan.frame.nodes:
        root = root._replace(nodes=_node_outcomes(engine, plan.frame.nodes, memories))
    if plan.replaces is not None:
        root = root._replace(cleared=True, new_seed=True, seed=plan.replaces)
    return root


def apply(engine: Engine, state: SessionState, outcome: Outcome) -> tuple[Turn, ...]:
    """Make the changes of a call; unbound, those of an adopted session are changes of its own conversation."""
    for path, changes in outcome.nodes.items() if outcome.nodes else ():
        own = engine.ledger_state(state, path)
        if own is not None and not changes.empty:
            state.node_states[path] = own
    return state.apply(outcome)


def _remembered(policy: NodePolicy | Options, turns: tuple[Turn, ...], memory: str | None) -> Outcome:
    if policy.lifespan == "episodic" and (policy.consolidator is None or memory is not None):
        return Outcome(cleared=True, l2_memory=memory)
    return Outcome(turns=turns, max_stored_turns=policy.max_stored_turns)
