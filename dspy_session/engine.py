"""How a call of a session runs. The two ways in, synchronous and not, walk through the same steps."""

from __future__ import annotations

import inspect
import logging
import uuid
import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import dspy

from dspy_session import consolidate, rendering
from dspy_session.bound import Bound, bound_state
from dspy_session.children import Visit, avisit, keep_in_ledger, node_frame, visit
from dspy_session.frame import Frame, NodeLedger, current, opened
from dspy_session.history import Snapshot, View, seed_records
from dspy_session.holding import alocked, is_held, locked
from dspy_session.injection import unbind
from dspy_session.nested import gathered, stand, take_in
from dspy_session.plan import plan_call, plan_child_call
from dspy_session.policy import ChildRules, Options
from dspy_session.program import Program
from dspy_session.reach import Node, reach
from dspy_session.reduce import load_tokenizer, tokens_window
from dspy_session.remember import episodes, outcome_of, root_turn
from dspy_session.replay import is_replay
from dspy_session.signatures import Signature
from dspy_session.state import SeenThrough, SessionState
from dspy_session.threads import arun_in_thread, run_coroutine

if TYPE_CHECKING:
    from dspy_session.session import Session

logger = logging.getLogger(__name__)

_OWN_FRAMES = 4
"""From ``is_replay`` out to ``Session.forward``, none of them an evaluation's."""


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
        self.history_names: frozenset[str]  # the inputs that carry the history
        self._reached: list[dspy.Predict] = []
        # A predictor that sessions share (copy_mode "none") outlives them and must not keep their claims.
        weakref.finalize(self, unbind, self._reached, self.key).atexit = False
        self.seen_through: SeenThrough | None = None

    # --- the program ----------------------------------------------------------------------------------------------

    def take(self, module: dspy.Module) -> None:
        """Make ``module`` the program: reach its predictors, make its children."""
        self.release()
        found = reach(module, self.options, self.rules, self.key, self._reached)
        self.options, self.program = found.options, found.program
        self.nodes, self.adopted = found.nodes, found.adopted
        parameter, field = self.program.history_parameter, self.options.history_field
        self.history_names = frozenset((field, parameter) if parameter else (field,))

    def release(self) -> None:
        """Let go of the program's predictors."""
        unbind(self._reached, self.key)
        self._reached.clear()
        for child in self.children.values():
            child.engine.release()
        self.nodes, self.adopted, self.children = {}, {}, {}

    # --- states ---------------------------------------------------------------------------------------------------

    @property
    def bound(self) -> Bound:
        """The state of a call made here and now."""
        return bound_state(self.key) or Bound(self.home())

    def _bound_or_rehearsed(self, outer: Frame | None) -> Bound:
        """The state of a call made here and now; for an evaluated or optimized program, one of this example alone."""
        bound = bound_state(self.key) or Bound(self.home())
        rehearsal = None if outer is None else outer.rehearsal
        if rehearsal is None:
            if not is_replay(_OWN_FRAMES):
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
        # Turns share a view; it is kept where the seed is, so that conversations with seeds of their own share too.
        holder: Engine | SessionState = self if state.seed is None else state
        seed = state.seed if state.seed is not None else self.seed or ()
        options, program, known = self.options, self.program, holder.seen_through  # read once: other threads write it
        if known is None or known[0] is not options or known[1] is not program or known[2].seed is not seed:
            view = View(seed, options.exclude_fields | self.history_names, options.history_input_fields)
            known = holder.seen_through = (options, program, view)
        return known[2]

    def saw(self, state: SessionState) -> Snapshot:
        """The history that a call on ``state`` sees."""
        return self.shortened(state, self.options.max_turns, self.view(state))

    def shortened(self, state: SessionState, window: int | None, view: View) -> Snapshot:
        """What of the turns of ``state`` a call sees under this session's options."""
        options = self.options
        if options.reducer is not None:
            history = options.reducer(state)
            if not isinstance(history, dspy.History):
                raise TypeError(f"the reducer must return a dspy.History; it returned {type(history).__name__}")
            return Snapshot.of(history)
        if options.max_tokens is not None:
            window = tokens_window(state.saw(window, view), options.max_tokens, self.spoken().left_out)
        return state.saw(window, view)

    # --- a call: run ----------------------------------------------------------------------------------------------

    def run(self, given: dict[str, Any]) -> Any:
        """One call, synchronously."""
        outer = current()
        as_child = None if outer is None else self._as_child(outer)
        if as_child is not None:
            plan = plan_child_call(self, *as_child, given)
            with opened(plan.frame):
                result = self.program.module(**plan.kwargs)
            keep_in_ledger(plan, result)
            return result
        bound = self._bound_or_rehearsed(outer)
        if self._needs_no_lock(bound.state, outer):
            return self._turn(bound, given, outer)
        with locked(bound.state):
            return self._turn(bound, given, outer)

    async def arun(self, given: dict[str, Any]) -> Any:
        """One call, from a task."""
        outer = current()
        as_child = None if outer is None else self._as_child(outer)
        if as_child is not None:
            plan = plan_child_call(self, *as_child, given)
            with opened(plan.frame):
                result = await self._call_program(plan.kwargs)
            keep_in_ledger(plan, result)
            return result
        bound = self._bound_or_rehearsed(outer)
        if self._needs_no_lock(bound.state, outer):
            return await self._aturn(bound, given, outer)
        async with alocked(bound.state):
            return await self._aturn(bound, given, outer)

    def _turn(self, bound: Bound, given: dict[str, Any], outer: Frame | None) -> Any:
        for hook in self.options.before_turn:
            given = _changed(given, run_coroutine(hook(self.face, dict(given))))
        plan = plan_call(self, bound, given, outer)
        with opened(plan.frame):
            result = self.program.module(**plan.kwargs)
            turn = root_turn(plan, result)
            ended = episodes(self, plan, turn)
            memories = {path: consolidate.consolidated(*episode) for path, episode in ended.items()} if ended else {}
        outcome = outcome_of(self, plan, turn, memories)
        if plan.host is not None:
            take_in(self, plan, plan.host, outcome)
            return result
        outcome = gathered(plan.frame, outcome)
        if plan.kept and bound.commit is not None:
            run_coroutine(bound.commit(outcome))
        for teller, told in stand(self, plan, outcome):
            for hook in teller.options.on_turn:
                try:
                    run_coroutine(hook(teller.face, told))
                except Exception:
                    logger.warning("An on_turn hook failed; the turn stands.", exc_info=True)
        return result

    async def _aturn(self, bound: Bound, given: dict[str, Any], outer: Frame | None) -> Any:
        for hook in self.options.before_turn:
            given = _changed(given, await _awaited(hook(self.face, dict(given))))
        plan = plan_call(self, bound, given, outer)
        with opened(plan.frame):
            result = await self._call_program(plan.kwargs)
            turn = root_turn(plan, result)
            memories = {
                path: await consolidate.aconsolidated(*episode) for path, episode in episodes(self, plan, turn).items()
            }
        outcome = outcome_of(self, plan, turn, memories)
        if plan.host is not None:
            take_in(self, plan, plan.host, outcome)
            return result
        outcome = gathered(plan.frame, outcome)
        if plan.kept and bound.commit is not None:
            await bound.commit(outcome)
        for teller, told in stand(self, plan, outcome):
            for hook in teller.options.on_turn:
                try:
                    await _awaited(hook(teller.face, told))
                except Exception:
                    logger.warning("An on_turn hook failed; the turn stands.", exc_info=True)
        return result

    async def _call_program(self, kwargs: dict[str, Any]) -> Any:
        module = self.program.module
        if self.program.threaded:
            return await arun_in_thread(lambda: module(**kwargs))
        return await module.acall(**kwargs)

    def _needs_no_lock(self, state: SessionState, outer: Frame | None) -> bool:
        if self.options.lock == "none" or is_held(state):
            return True
        return outer is not None and any(around.state is state and around.counts for around in outer.outward())

    def _as_child(self, outer: Frame) -> tuple[Frame, NodeLedger | None] | None:
        """This session's frame and ledger in the call in which it is a child; None when it stands for itself."""
        for around in outer.outward():
            path = around.engine.adopted.get(self.key)
            if path is not None:
                return node_frame(self, around.root, around.engine.nodes[path], path)
        return None

    # --- predictors and children ----------------------------------------------------------------------------------

    def visit(self, call: Visit) -> Any:
        """A reached predictor is called: hand it its history, and keep its turn if it is a child."""
        return visit(self, call)

    async def avisit(self, call: Visit) -> Any:
        """The same from a task."""
        return await avisit(self, call)

    def lay_out(self, frame: Frame, signature: Signature) -> rendering.Layout:
        """What a predictor of ``signature`` is shown in ``frame``."""
        return rendering.lay_out(frame.saw, frame.state.l2_memory, signature, self.spoken(frame.path))

    def spoken(self, path: str = "") -> rendering.Spoken:
        """Which fields are the conversation of the program, or of the node at ``path``."""
        return rendering.Spoken(None if path else self.program.spoken, self.options.include_trajectory)


def _changed(given: dict[str, Any], changed: Any) -> dict[str, Any]:
    if changed is None:
        return given
    if not isinstance(changed, Mapping):
        raise TypeError(f"a before_turn hook returns the inputs, or None; got {type(changed).__name__}")
    return dict(changed)


async def _awaited(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value
