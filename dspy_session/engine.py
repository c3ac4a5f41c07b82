"""How a call of a session runs: plan, run, record. The two ways in, synchronous and not, walk through the same steps."""

from __future__ import annotations

import inspect
import logging
import time
import uuid
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

import dspy

from dspy_session import consolidate, rendering
from dspy_session.binding import Binding, own_signature
from dspy_session.frame import FRAME, Frame, NodeLedger, Rehearsal, current, holding, is_held, setting
from dspy_session.history import Snapshot, View, seed_records
from dspy_session.injection import bind, unbind, unlist
from dspy_session.policy import ChildRules, NodePolicy, Options, is_below
from dspy_session.program import Program, modules_below
from dspy_session.record import recorded_inputs, recorded_outputs
from dspy_session.reduce import load_tokenizer, tokens_window
from dspy_session.replay import is_replay
from dspy_session.signatures import Signature, field_for, history_field
from dspy_session.state import Outcome, SessionState
from dspy_session.threads import arun_in_thread, run_coroutine
from dspy_session.turn import Record, Turn

if TYPE_CHECKING:
    from dspy_session.session import Session

logger = logging.getLogger(__name__)

BOUND = "dspy_session_bound"
"""Name of the DSPy setting that holds which state each session works on, by the session's key."""

Place = tuple[str, ...]
"""A child's path, before it the path of the adopted session that it is a child of; empty for the root."""

Commit = Callable[[Outcome], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Bound:
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


@dataclass(frozen=True, slots=True)
class Node:
    """A child of a ``with_memory`` program.

    Args:
        module: The predictor, or the session that the user put there.
        policy: How it remembers.
        view: Which fields its history shows.
        engine: Of the session that the user put there; None for a predictor.
    """

    module: dspy.Module
    policy: NodePolicy
    view: View
    engine: Engine | None = None

    def over(self, seed: tuple[Record, ...]) -> View:
        """The view with the messages that come before all turns."""
        return View(seed, self.view.exclude, self.view.only) if seed else self.view


@dataclass(frozen=True, slots=True)
class Plan:
    """What one call does.

    Args:
        frame: The call as the program sees it.
        kwargs: What the program is called with.
        inputs: What the turn will keep of them.
        replaces: A history that becomes the seed and clears the turns once the call succeeds.
        kept: False when the turn is nobody's: no hook, no commit.
        ledger: Where the turn goes when the session is a child in somebody else's call.
    """

    frame: Frame
    kwargs: dict[str, Any]
    inputs: dict[str, Any]
    replaces: dspy.History | None = None
    kept: bool = True
    ledger: NodeLedger | None = None


class Engine:
    """A session without its face.

    Args:
        face: The session that hooks are given.
        options: Its options.
        rules: Which predictors become children.
        initial_history: The seed of states that have none of their own.
        state: The state of calls that no other state is bound for.
    """

    def __init__(
        self,
        face: Session,
        options: Options,
        rules: ChildRules,
        initial_history: dspy.History | None,
        state: SessionState,
    ) -> None:
        self.face = face
        self.options = options
        if options.max_tokens is not None:
            load_tokenizer()
        self.rules = rules
        self.seed = None if initial_history is None else seed_records(initial_history)
        self.key = uuid.uuid4().hex
        self.home: Callable[[], SessionState] = lambda: state
        self.nodes: dict[str, Node] = {}
        self.adopted: dict[str, str] = {}
        self.children: dict[str, Session] = {}
        self.program: Program
        self._reached: list[dspy.Predict] = []
        # A predictor that sessions share (copy_mode "none") outlives them and must not keep their claims.
        weakref.finalize(self, unbind, self._reached, self.key).atexit = False
        self._view: tuple[Options, View] | None = None

    # --- the program ----------------------------------------------------------------------------------------------

    def take(self, module: dspy.Module) -> None:
        """Make ``module`` the program: reach its predictors, make its children."""
        self.release()
        for _, found in modules_below(module):
            if isinstance(found, dspy.Predict):
                unlist(found)
        self._follow_declared_name(module)
        self.program = Program.of(module, self.options.history_field, self.options.strict_history_annotation)
        inherited = NodePolicy.inherited(self.options)
        for path, found in modules_below(module):
            child = bool(path) and self.rules.admits(path, found)
            if isinstance(found, dspy.Predict):
                binding = self._bind(path, found)
                if child:
                    self._add_node(path, found, inherited, frozenset((binding.field,)))
            elif child:
                self._adopt(path, found)
        self._check_configs()

    def _bind(self, path: str, predictor: dspy.Predict) -> Binding:
        options, own = self.options, own_signature(predictor)
        name = field_for(own, options.history_field, options.strict_history_annotation)
        is_there = name in own.input_fields
        self._warn_of_other_name(path, predictor, name if is_there else None)
        binding = Binding(path, name, is_there and own.input_fields[name].annotation is dspy.History)
        bind(predictor, self.key, binding)
        self._reached.append(predictor)
        return binding

    def release(self) -> None:
        """Let go of the program's predictors."""
        unbind(self._reached, self.key)
        self._reached.clear()
        for child in self.children.values():
            child.engine.release()
        self.nodes, self.adopted, self.children, self._view = {}, {}, {}, None

    def _add_node(
        self,
        path: str,
        module: dspy.Module,
        policy: NodePolicy,
        history_names: frozenset[str],
        engine: Engine | None = None,
    ) -> None:
        policy = policy.changed(path, self.rules.config(path))
        view = View((), policy.exclude_fields | history_names, policy.history_input_fields)
        self.nodes[path] = Node(module, policy, view, engine)

    def _adopt(self, path: str, session: Session) -> None:
        engine = session.engine
        self._add_node(path, session, NodePolicy.of(engine.options), engine.history_names, engine)
        self.adopted[engine.key] = path

    def _check_configs(self) -> None:
        module = self.program.module
        predictors = sorted(path for path, _ in modules_below(module) if path)
        known = {*predictors, *(name.removeprefix("self.") for name, _ in module.named_sub_modules())}
        for path in self.rules.configs:
            if path not in known and not any(is_below(predictor, path) for predictor in predictors):
                raise ValueError(
                    f"child_configs names {path!r}, which is no module of this program; its predictors are: "
                    f"{', '.join(predictors) or 'none'}"
                )

    def _follow_declared_name(self, module: dspy.Module) -> None:
        """A root predictor that has a history field already gives the session its name."""
        predictors = [found for _, found in modules_below(module) if isinstance(found, dspy.Predict)]
        if len(predictors) != 1 or not isinstance(module, (dspy.Predict, dspy.ChainOfThought)):
            return
        declared = history_field(own_signature(predictors[0]), self.options.strict_history_annotation)
        if declared and declared != self.options.history_field:
            self._warn_of_other_name("", predictors[0], declared)
            self.options = self.options.with_(history_field=declared)

    def _warn_of_other_name(self, path: str, predictor: dspy.Predict, declared: str | None) -> None:
        asked = self.options.history_field
        if declared and asked not in ("history", declared):
            logger.warning(
                "%s has the history field %r already, which is used instead of %r.",
                path or type(predictor).__name__,
                declared,
                asked,
            )

    # --- states ---------------------------------------------------------------------------------------------------

    @property
    def bound(self) -> Bound:
        """The state of a call made here and now."""
        states: Mapping[str, Bound] | None = setting(BOUND)
        found = states.get(self.key) if states else None
        return found if found is not None else Bound(self.home())

    def _bound_or_rehearsed(self) -> Bound:
        """The state of a call made here and now; for an evaluated or optimized program, one of this example alone."""
        bound, outer = self.bound, current()
        rehearsal = outer.rehearsal if outer is not None else None
        if rehearsal is None:
            if not is_replay():
                return bound
            rehearsal = {}
        state = bound.state
        if not bound.rehearsed:  # from the seed on, and what was said before stays as it is
            state = rehearsal.setdefault(state, SessionState(initial_history=state.initial_history))
        return Bound(state, rehearsal=rehearsal)

    def ledger_state(self, state: SessionState, path: str) -> SessionState | None:
        """What the child at ``path`` remembers in ``state``; None when nothing yet."""
        found = state.node_states.get(path)
        engine = self.nodes[path].engine
        if found is None and engine is not None and state is self.home():
            return engine.home()  # unbound, an adopted session goes on with its own conversation
        return found

    def view(self, state: SessionState) -> View:
        """Which fields this session's history shows, over the seed of ``state``."""
        seed = state.seed if state.seed is not None else self.seed or ()
        options, known = self.options, self._view  # read once: other threads put theirs there
        if known is None or known[0] is not options or known[1].seed is not seed:
            view = View(seed, options.exclude_fields | self.history_names, options.history_input_fields)
            known = self._view = (options, view)
        return known[1]

    def saw(self, state: SessionState) -> Snapshot:
        """The history that a call on ``state`` sees."""
        return self.shortened(state, self.options.max_turns, self.view(state))

    def shortened(self, state: SessionState, window: int | None, view: View) -> Snapshot:
        """What of the turns of ``state`` a call sees under this session's options."""
        options = self.options
        if options.reducer is not None:
            history = options.reducer(state)
            if not isinstance(history, dspy.History):
                raise TypeError(f"the reducer must return a dspy.History; it returned a {type(history).__name__}")
            return Snapshot.of(history)
        if options.max_tokens is not None:
            window = tokens_window(state.saw(window, view), options.max_tokens, self.spoken().left_out)
        return state.saw(window, view)

    @property
    def history_names(self) -> frozenset[str]:
        """The input names that carry the history."""
        parameter = self.program.history_parameter
        return frozenset((self.options.history_field, parameter) if parameter else (self.options.history_field,))

    # --- a call: plan ---------------------------------------------------------------------------------------------

    def plan(self, bound: Bound, given: dict[str, Any]) -> Plan:
        """What a call with the arguments ``given`` does to the state that is bound.

        Raises:
            TypeError: The history given is no ``dspy.History``.
        """
        state = bound.state
        explicit, others = self._apart(given)
        outer = current()
        policy = self.options.history_policy
        recording = self.options.lifespan != "stateless"
        if explicit is None:
            saw = self.saw(state)
        elif policy == "replace_session":
            saw = self.saw(SessionState((), explicit, state.l2_memory))
        else:
            saw = Snapshot.of(explicit)
            recording = recording and policy == "use_if_provided"
        frame = Frame(self, state, saw, outer=outer, recording=recording, rehearsal=bound.rehearsal)
        if outer is not None:
            self._keep_for_outer(outer, state)
        replaces = explicit if policy == "replace_session" else None
        kept = recording and bound.rehearsal is None
        inputs = recorded_inputs(others, self.program.inputs)
        return Plan(frame, self._kwargs(frame, others), inputs, replaces, kept)

    def plan_as_child(self, root: Frame, node: Node, path: str, given: dict[str, Any]) -> Plan:
        """What a call does when the session is a child in another session's call."""
        frame, ledger = self._node_frame(self, root, node, path)
        explicit, others = self._apart(given)
        if explicit is not None:
            frame.saw = Snapshot.of(explicit)
            frame.recording = frame.recording and self.options.history_policy != "override"
        inputs = recorded_inputs(others, self.program.inputs)
        return Plan(frame, self._kwargs(frame, others), inputs, kept=False, ledger=ledger)

    def _apart(self, given: Mapping[str, Any]) -> tuple[dspy.History | None, dict[str, Any]]:
        """The history that the caller brings, None when there is none, and the other arguments."""
        names = self.history_names
        others = {name: value for name, value in given.items() if name not in names}
        explicit = None
        if len(others) < len(given):
            explicit = next((given[name] for name in names if given.get(name) is not None), None)
        if explicit is not None and not isinstance(explicit, dspy.History):
            raise TypeError(
                f"{self.options.history_field} must be a dspy.History; got a {type(explicit).__name__}: "
                "wrap the messages in dspy.History(messages=[...])"
            )
        return explicit, others

    def _kwargs(self, frame: Frame, others: dict[str, Any]) -> dict[str, Any]:
        parameter = self.program.history_parameter
        return others if parameter is None else {**others, parameter: frame.hand_out()}

    def _keep_for_outer(self, outer: Frame, state: SessionState) -> None:
        """A call from inside a turn of the same conversation goes when that turn fails: keep what stood before."""
        for frame in outer.outward():
            if frame.state is state and frame.before is None:
                frame.before = state.branch()

    # --- a call: run ----------------------------------------------------------------------------------------------

    def run(self, given: dict[str, Any]) -> Any:
        """One call, synchronously."""
        as_child = self._as_child()
        if as_child is not None:
            plan = self.plan_as_child(*as_child, given)
            with opened(plan.frame):
                result = self.program.module(**plan.kwargs)
            self._keep_in_ledger(plan, result)
            return result
        bound = self._bound_or_rehearsed()
        with self._held(bound.state):
            for hook in self.options.before_turn:
                given = _changed(given, run_coroutine(hook(self.face, dict(given))))
            plan = self.plan(bound, given)
            with opened(plan.frame):
                result = self.program.module(**plan.kwargs)
                turn = self.turn(plan, result)
                memories = {
                    path: consolidate.consolidated(*episode) for path, episode in self.episodes(plan, turn).items()
                }
            outcome = self.outcome(plan, turn, memories)
            if plan.kept and bound.commit is not None:
                run_coroutine(bound.commit(outcome))
            self.apply(plan.frame.state, outcome)
            if turn is not None and plan.kept:
                for hook in self.options.on_turn:
                    try:
                        run_coroutine(hook(self.face, turn))
                    except Exception:
                        logger.warning("An on_turn hook failed; the turn stands.", exc_info=True)
        return result

    async def arun(self, given: dict[str, Any]) -> Any:
        """One call, from a task."""
        as_child = self._as_child()
        if as_child is not None:
            plan = self.plan_as_child(*as_child, given)
            with opened(plan.frame):
                result = await self._call_program(plan.kwargs)
            self._keep_in_ledger(plan, result)
            return result
        bound = self._bound_or_rehearsed()
        async with self._aheld(bound.state):
            for hook in self.options.before_turn:
                given = _changed(given, await _awaited(hook(self.face, dict(given))))
            plan = self.plan(bound, given)
            with opened(plan.frame):
                result = await self._call_program(plan.kwargs)
                turn = self.turn(plan, result)
                memories = {
                    path: await consolidate.aconsolidated(*episode)
                    for path, episode in self.episodes(plan, turn).items()
                }
            outcome = self.outcome(plan, turn, memories)
            if plan.kept and bound.commit is not None:
                await bound.commit(outcome)
            self.apply(plan.frame.state, outcome)
            if turn is not None and plan.kept:
                for hook in self.options.on_turn:
                    try:
                        await _awaited(hook(self.face, turn))
                    except Exception:
                        logger.warning("An on_turn hook failed; the turn stands.", exc_info=True)
        return result

    async def _call_program(self, kwargs: dict[str, Any]) -> Any:
        module = self.program.module
        if self.program.threaded:
            return await arun_in_thread(lambda: module(**kwargs))
        return await module.acall(**kwargs)

    def _held(self, state: SessionState) -> AbstractContextManager[None]:
        return nullcontext() if self._needs_no_lock(state) else _locked(state)

    def _aheld(self, state: SessionState) -> AbstractAsyncContextManager[None]:
        return nullcontext() if self._needs_no_lock(state) else _alocked(state)

    def _needs_no_lock(self, state: SessionState) -> bool:
        if self.options.lock == "none" or is_held(state):
            return True
        frame = current()
        return frame is not None and any(around.state is state and around.counts for around in frame.outward())

    def _as_child(self) -> tuple[Frame, Node, str] | None:
        """The call under way in which this session is a child; None when it stands for itself."""
        frame = current()
        if frame is None:
            return None
        for around in frame.outward():
            path = around.engine.adopted.get(self.key)
            if path is not None:
                return around.root, around.engine.nodes[path], path
        return None

    # --- a call: record -------------------------------------------------------------------------------------------

    def turn(self, plan: Plan, result: Any) -> Turn | None:
        """The turn that a call's result makes; None when nothing is recorded."""
        if not plan.frame.recording or plan.frame.abandoned:
            return None
        return _turn(plan, result, 0 if plan.replaces is not None else plan.frame.state.next_index)

    def episodes(self, plan: Plan, turn: Turn | None) -> dict[Place, tuple[Callable[..., Any], str, list[Turn]]]:
        """What is to be consolidated after a call: by place, the consolidator, the past memory and the episode."""
        if not plan.frame.recording or plan.frame.abandoned:
            return {}
        found = {}
        for place, policy, ledger in self.ledgers(plan.frame.nodes):
            if policy.lifespan == "episodic" and policy.consolidator is not None and len(ledger.working):
                found[place] = (policy.consolidator, ledger.working.l2_memory, ledger.working.turns)
        if self.options.lifespan == "episodic" and self.options.consolidator is not None and turn is not None:
            state = plan.frame.state
            found[()] = (self.options.consolidator, state.l2_memory, [*state.turns, turn])
        return found

    def ledgers(
        self, nodes: Mapping[str, NodeLedger], at: Place = ()
    ) -> Iterator[tuple[Place, NodePolicy, NodeLedger]]:
        """The ledgers of the children, and of their children, with their places and policies."""
        for path, ledger in nodes.items():
            node = self.nodes[path]
            yield (*at, path), node.policy, ledger
            if node.engine is not None:
                yield from node.engine.ledgers(ledger.nodes, (*at, path))

    def node_outcomes(
        self, nodes: Mapping[str, NodeLedger], memories: Mapping[Place, str | None], at: Place = ()
    ) -> dict[str, Outcome]:
        """What a successful call changes in the states of the children."""
        outcomes = {}
        for path, ledger in nodes.items():
            node, place = self.nodes[path], (*at, path)
            inner = {} if node.engine is None else node.engine.node_outcomes(ledger.nodes, memories, place)
            own = self._remembered(node.policy, tuple(ledger.added), memories.get(place))
            outcomes[path] = replace(own, nodes=inner)
        return outcomes

    def outcome(self, plan: Plan, turn: Turn | None, memories: Mapping[Place, str | None]) -> Outcome:
        """What a successful call changes in its state."""
        if not plan.frame.recording or plan.frame.abandoned:
            return Outcome()
        turns = () if turn is None else (turn,)
        root = self._remembered(self.options, turns, memories.get(()))
        if plan.frame.nodes:
            root = replace(root, nodes=self.node_outcomes(plan.frame.nodes, memories))
        if plan.replaces is not None:
            root = replace(root, cleared=True, new_seed=True, seed=plan.replaces)
        return root

    def apply(self, state: SessionState, outcome: Outcome) -> None:
        """Make the changes of a call; unbound, those of an adopted session are changes of its own conversation."""
        for path, changes in outcome.nodes.items():
            own = self.ledger_state(state, path)
            if own is not None and not changes.empty:
                state.node_states[path] = own
        state.apply(outcome)

    @staticmethod
    def _remembered(policy: NodePolicy | Options, turns: tuple[Turn, ...], memory: str | None) -> Outcome:
        if policy.lifespan == "episodic" and (policy.consolidator is None or memory is not None):
            return Outcome(cleared=True, l2_memory=memory)
        return Outcome(turns=turns, max_stored_turns=policy.max_stored_turns)

    # --- the children in a call -----------------------------------------------------------------------------------

    def visit(
        self, frame: Frame, binding: Binding, predictor: dspy.Predict, base: Any, args: Any, kwargs: dict[str, Any]
    ) -> Any:
        """A reached predictor is called: hand it its history, and keep its turn if it is a child."""
        node = self.nodes.get(binding.path)
        if node is None:
            return base(*args, **_with_history(frame.root, binding, kwargs))
        inner, ledger = self._node_frame(self, frame.root, node, binding.path)
        inputs = self._node_inputs(predictor, binding, kwargs)
        with opened(inner):
            result = base(*args, **_with_history(inner, binding, kwargs))
        if predictor is node.module:  # a copy that a BestOfN made remembers nothing
            self._keep_in_ledger(Plan(inner, {}, inputs, ledger=ledger), result)
        return result

    async def avisit(
        self, frame: Frame, binding: Binding, predictor: dspy.Predict, base: Any, args: Any, kwargs: dict[str, Any]
    ) -> Any:
        """The same from a task."""
        node = self.nodes.get(binding.path)
        if node is None:
            return await base(*args, **_with_history(frame.root, binding, kwargs))
        inner, ledger = self._node_frame(self, frame.root, node, binding.path)
        inputs = self._node_inputs(predictor, binding, kwargs)
        with opened(inner):
            result = await base(*args, **_with_history(inner, binding, kwargs))
        if predictor is node.module:
            self._keep_in_ledger(Plan(inner, {}, inputs, ledger=ledger), result)
        return result

    def lay_out(self, frame: Frame, signature: Signature) -> rendering.Layout:
        """What a predictor of ``signature`` is shown in ``frame``."""
        return rendering.lay_out(frame.saw, frame.state.l2_memory, signature, self.spoken(frame.path))

    def spoken(self, path: str = "") -> rendering.Spoken:
        """Which fields are the conversation of the program, or of the node at ``path``."""
        return rendering.Spoken(None if path else self.program.spoken, self.options.include_trajectory)

    def _node_frame(self, engine: Engine, root: Frame, node: Node, path: str) -> tuple[Frame, NodeLedger | None]:
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

    @staticmethod
    def _node_inputs(predictor: dspy.Predict, binding: Binding, kwargs: dict[str, Any]) -> dict[str, Any]:
        return recorded_inputs(kwargs, frozenset(own_signature(predictor).input_fields) - {binding.field})

    @staticmethod
    def _keep_in_ledger(plan: Plan, result: Any) -> None:
        if plan.ledger is None or not plan.frame.recording or plan.frame.abandoned:
            return
        plan.ledger.add(_turn(plan, result, 0))


class opened:  # noqa: N801  # used like a function; a generator takes twice the time
    """The frame is the innermost one here until the block ends; a block that fails undoes what was recorded inside."""

    __slots__ = ("_context", "_frame")

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._context = dspy.context(**{FRAME: frame})

    def __enter__(self) -> None:
        self._context.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._context.__exit__(None, None, None)
        frame = self._frame
        frame.closed, frame.failed = True, kind is not None
        if frame.failed and frame.before is not None:
            frame.state.restore(frame.before)


@contextmanager
def _locked(state: SessionState) -> Iterator[None]:
    with state.lock.hold(), holding(state):
        yield


@asynccontextmanager
async def _alocked(state: SessionState) -> AsyncIterator[None]:
    async with state.lock.ahold():
        with holding(state):
            yield


def _turn(plan: Plan, result: Any, index: int) -> Turn:
    record = Record(plan.inputs, recorded_outputs(result))
    return Turn.of(record, index, plan.frame.saw, created=time.time())


def _with_history(frame: Frame, binding: Binding, kwargs: dict[str, Any]) -> dict[str, Any]:
    if kwargs.get(binding.field) is not None:
        return kwargs
    return {**kwargs, binding.field: frame.injected()}


def _changed(given: dict[str, Any], changed: Any) -> dict[str, Any]:
    if changed is None:
        return given
    if not isinstance(changed, Mapping):
        raise TypeError(f"a before_turn hook returns the inputs, or None; got a {type(changed).__name__}")
    return dict(changed)


async def _awaited(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value
