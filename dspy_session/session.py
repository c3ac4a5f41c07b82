"""The session: any DSPy module, with a memory."""

from __future__ import annotations

import datetime
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from os import PathLike
from typing import Any

import dspy

from dspy_session import examples, files
from dspy_session.bound import Bound, Commit, StateBinding
from dspy_session.copies import copied, for_a_file
from dspy_session.engine import Engine
from dspy_session.history import seed_records, whole_message
from dspy_session.option import ExcludedFields, Hooks, HooksOption, Option
from dspy_session.policy import ChildRules, Options, clean
from dspy_session.replay import is_replay
from dspy_session.saved import restored, saved
from dspy_session.scoring import scored
from dspy_session.settings import setting
from dspy_session.state import SessionState
from dspy_session.streaming import stream
from dspy_session.turn import Turn


class Session(dspy.Module):
    """A DSPy module that remembers: each call sees the turns before it and becomes a turn itself.

    Args:
        module: The program to wrap.
        history_field: Name of the input field that carries the history.
        max_turns: How many messages a call sees at most, the newest ones; seed messages count. None for all.
        max_stored_turns: How many turns are kept; None for all.
        exclude_fields: Names of fields that the history leaves out; turns keep them.
        history_input_fields: The only inputs that the history shows; None for all.
        input_field_override: Another name of ``history_input_fields``.
        initial_history: Seed history: messages that come before every turn.
        history_policy: What a call with a history of its own does: ``"override"`` runs with it and records nothing,
            ``"use_if_provided"`` runs with it and records, ``"replace_session"`` starts the conversation anew from it.
        on_metric_error: ``"zero"`` scores a turn 0.0 when its metric fails, with a warning; ``"raise"`` raises.
        strict_history_annotation: Only the exact annotation ``dspy.History`` marks a history field.
        copy_mode: ``"deep"`` and ``"shallow"`` leave the given module as it is; ``"none"`` works on the module itself.
        lock: ``"thread"`` or ``"async"``, which do the same: calls on one state wait for one another, in order of
            arrival, whether tasks or threads make them. ``"none"``: the caller sees to it.
        on_turn: A hook or a list of hooks, called with ``(session, turn)`` after each recorded turn; may be coroutine
            functions.
        isolation: As a child in a ``with_memory`` program: ``"isolated"`` or ``"shared"`` (reads the root's history and
            records nothing).
        lifespan: ``"persistent"``; ``"episodic"`` keeps turns for one root call, then consolidates them;
            ``"stateless"`` records nothing.
        consolidator: Turns an episode into long-term memory: called with ``past_memory`` and ``episode_transcript``.
        before_turn: A hook or a list of hooks, called with ``(session, inputs)`` before each call, also one that
            records nothing; what they return, if anything, replaces the inputs; raising stops the call.
        max_tokens: How many tokens of history a call sees at most, the newest messages that fit; estimated. None for no
            limit.
        reducer: Called with the state, returns the ``dspy.History`` that a call sees, seed included; instead of
            ``max_turns`` and ``max_tokens``.
        include_trajectory: Show past ``trajectory`` outputs (the steps of a ReAct) in prompts.
        status_provider: What ``astream`` says while tools and modules work; DSPy's own words if None.

    Raises:
        ValueError: An option has a value outside its list.
    """

    def __init__(
        self,
        module: dspy.Module,
        *,
        history_field: str = "history",
        max_turns: int | None = None,
        max_stored_turns: int | None = None,
        exclude_fields: Iterable[str] | None = None,
        history_input_fields: Iterable[str] | None = None,
        input_field_override: Iterable[str] | None = None,
        initial_history: dspy.History | None = None,
        history_policy: str = "override",
        on_metric_error: str = "zero",
        strict_history_annotation: bool = False,
        copy_mode: str = "deep",
        lock: str = "none",
        on_turn: Hooks = None,
        isolation: str = "isolated",
        lifespan: str = "persistent",
        consolidator: Callable[..., Any] | None = None,
        before_turn: Hooks = None,
        max_tokens: int | None = None,
        reducer: Callable[[SessionState], dspy.History] | None = None,
        include_trajectory: bool = False,
        status_provider: dspy.streaming.StatusMessageProvider | None = None,
        _rules: ChildRules | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # DSPy's
        if not isinstance(module, dspy.Module):
            raise TypeError(f"a session wraps a dspy.Module; got {type(module).__name__}")
        if history_input_fields is not None and input_field_override is not None:
            raise ValueError("input_field_override is another name of history_input_fields: give one of the two")
        if initial_history is not None and not isinstance(initial_history, dspy.History):
            raise TypeError(f"initial_history must be a dspy.History; got {type(initial_history).__name__}")
        options = Options(
            **clean(
                {
                    "history_field": history_field,
                    "max_turns": max_turns,
                    "max_stored_turns": max_stored_turns,
                    "exclude_fields": exclude_fields,
                    "history_input_fields": (
                        history_input_fields if history_input_fields is not None else input_field_override
                    ),
                    "history_policy": history_policy,
                    "on_metric_error": on_metric_error,
                    "strict_history_annotation": strict_history_annotation,
                    "copy_mode": copy_mode,
                    "lock": lock,
                    "on_turn": on_turn,
                    "isolation": isolation,
                    "lifespan": lifespan,
                    "consolidator": consolidator,
                    "before_turn": before_turn,
                    "max_tokens": max_tokens,
                    "reducer": reducer,
                    "include_trajectory": include_trajectory,
                    "status_provider": status_provider,
                }
            )
        )
        self._wrap(copied(module, options.copy_mode), options, _rules or ChildRules(), initial_history, SessionState())

    def _wrap(
        self,
        module: dspy.Module,
        options: Options,
        rules: ChildRules,
        initial_history: dspy.History | None,
        state: SessionState,
    ) -> None:
        self.module = module
        self.engine = Engine(self, options, rules, initial_history, state)
        self.engine.take(module)

    # --- calls ----------------------------------------------------------------------------------------------------

    # DSPy's own warns of ``module.forward(...)``, which a session takes for a call, and slows down every read of an
    # attribute.
    __getattribute__ = object.__getattribute__

    def forward(self, **inputs: Any) -> Any:
        """One turn, synchronously; the same as calling the session."""
        if _called_by_dspy(self):
            return self.engine.run(inputs)
        return self(**inputs)

    async def aforward(self, **inputs: Any) -> Any:
        """One turn; the same as ``acall``."""
        if _called_by_dspy(self):
            return await self.engine.arun(inputs)
        return await self.acall(**inputs)

    def astream(self, field: str | None = None, **inputs: Any) -> AsyncGenerator[Any, None]:
        """One turn, shown while it is made.

        Args:
            field: The output field to stream; the last predictor's first text output if None.
            inputs: As for ``acall``.

        Yields:
            ``dspy.streaming.StatusMessage`` while tools and modules work, ``dspy.streaming.StreamResponse`` for each
            piece of the field, and last the result. Leaving the loop early cancels the turn: nothing is recorded.
        """
        return stream(self, field, inputs)

    # --- state ----------------------------------------------------------------------------------------------------

    @property
    def state(self) -> SessionState:
        """The state of calls made here and now: the one that is bound, else the session's own."""
        return self.engine.bound.state

    def new_state(self, initial_history: dspy.History | None = None, l2_memory: str = "") -> SessionState:
        """A state for one user or conversation, to be bound with ``use_state``."""
        return SessionState(initial_history=initial_history, l2_memory=l2_memory)

    def use_state(self, state: SessionState, *, commit: Commit | None = None) -> StateBinding:
        """Work on ``state`` inside ``with`` or ``async with``, in this task and what it starts.

        Args:
            state: The state.
            commit: Awaited with the ``Outcome`` of each call before the state changes and before ``on_turn``; when it
                raises, the state stays as it was. This is where a store writes.

        Raises:
            TypeError: ``state`` is no ``SessionState``.
        """
        if not isinstance(state, SessionState):
            raise TypeError(f"use_state takes a SessionState; got {type(state).__name__}")
        return StateBinding(self.engine.key, Bound(state, commit, rehearsed=is_replay()))

    @property
    def turns(self) -> list[Turn]:
        """The turns that are kept, oldest first; a new list each time."""
        return self.state.turns

    @property
    def session_history(self) -> dspy.History:
        """The history that the next call would see."""
        return self.engine.saw(self.state).history()

    def __len__(self) -> int:
        return len(self.state)

    def __bool__(self) -> bool:
        return True  # a session without turns is a module all the same

    @property
    def children(self) -> dict[str, Session]:
        """The children of a ``with_memory`` program by dotted path, each a session over its own ledger."""
        return {path: self._child(path) for path in self.engine.nodes}

    def _child(self, path: str) -> Session:
        engine = self.engine
        if path in engine.children:
            return engine.children[path]
        node = engine.nodes[path]
        own = node.engine or engine
        child = Session.__new__(Session)
        dspy.Module.__init__(child)
        options = own.options.with_(
            copy_mode="none",
            on_turn=None,
            before_turn=None,
            **{name: getattr(node.policy, name) for name in node.policy.__slots__},
        )
        module = node.module.module if isinstance(node.module, Session) else node.module
        rules = ChildRules() if node.engine is None else own.rules
        child._wrap(  # noqa: SLF001  # a session makes sessions
            module, options, rules, None if node.engine is None else node.module.initial_history, SessionState()
        )
        child.engine.home = lambda: self._ledger(path)
        engine.children[path] = child
        return child

    def _ledger(self, path: str) -> SessionState:
        state = self.state
        known = self.engine.ledger_state(state, path)
        return known if known is not None else state.node_states.setdefault(path, SessionState())

    def reset(self) -> None:
        """Start the conversation again: no turns, of the children neither. Seed history and long-term memory stay."""
        self.state.reset()

    def fork(self) -> Session:
        """An independent session that starts from here: its own module (by ``copy_mode``), state and children."""
        engine = self.engine
        return self._twin(copied(self.module, engine.options.copy_mode), self.state.fork())

    def _twin(self, module: dspy.Module, state: SessionState) -> Session:
        twin: Session = type(self).__new__(type(self))
        own = {name: value for name, value in self.__dict__.items() if name not in ("module", "engine")}
        twin.__dict__.update(own, callbacks=list(self.callbacks), history=[])
        engine = self.engine
        twin._wrap(module, engine.options, engine.rules, self.initial_history, state)
        return twin

    # --- editing --------------------------------------------------------------------------------------------------

    def add_turn(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any], score: float | None = None) -> Turn:
        """Write a turn by hand, as if it had been said; hooks are not told.

        Args:
            inputs: What the call would have been given; a history among them is left out.
            outputs: What it would have returned.
            score: What the turn is worth; None if nobody said.
        """
        state, names = self.state, self.engine.history_names
        kept = {name: value for name, value in inputs.items() if name not in names}
        now = datetime.datetime.now(datetime.UTC)
        turn = Turn(state.next_index, kept, outputs, self.engine.saw(state), score, created_at=now)
        state.append(turn, self.engine.options.max_stored_turns)
        return turn

    def pop_turn(self) -> Turn | None:
        """Remove and return the newest turn; None if there is none. What children remember stays."""
        return self.state.pop()

    def undo(self, steps: int = 1) -> list[Turn]:
        """Remove the newest turns and return them, newest first; fewer when there are fewer.

        What children remember stays: a child may have been called any number of times in a turn.

        Raises:
            ValueError: ``steps`` is negative.
        """
        if steps < 0:
            raise ValueError(f"steps must not be negative; got {steps}")
        state = self.state
        return [turn for turn in (state.pop() for _ in range(min(steps, len(state)))) if turn is not None]

    def update_module(self, module: dspy.Module) -> None:
        """Go on with another module, for example an optimized one; the conversation and the policies stay.

        Raises:
            TypeError: ``module`` is no ``dspy.Module``.
            ValueError: ``child_configs`` names a module that it does not have; the session goes on as it was.
        """
        if not isinstance(module, dspy.Module):
            raise TypeError(f"a session wraps a dspy.Module; got {type(module).__name__}")
        new = copied(module, self.engine.options.copy_mode)
        try:
            self.engine.take(new)
        except BaseException:
            self.engine.take(self.module)
            raise
        self.module = new

    # --- scores and examples --------------------------------------------------------------------------------------

    def score(self, metric: Callable[..., Any], gold: dspy.Example | None = None) -> list[float]:
        """Score every turn, and keep the scores with the turns.

        Args:
            metric: Called once a turn with ``(example, prediction, trace=None)``, or ``(example, prediction)`` where
                it takes two.
            gold: The example to compare with; the turn's own inputs, history and outputs if None.

        Returns:
            The scores, one a turn, oldest first.
        """
        field = self.engine.options.history_field
        return [scored(turn, metric, gold, field, self.engine.options.on_metric_error) for turn in self.state]

    def to_examples(
        self,
        metric: Callable[..., Any] | None = None,
        min_score: float | None = None,
        include_history: bool = True,
        strict_trajectory: bool = False,
        require_outputs: bool = True,
    ) -> list[dspy.Example]:
        """Every turn as an example for optimizers, with the history that it saw.

        Args:
            metric: Scores the turns first, as ``score`` does.
            min_score: Leave out turns with a lower score, and turns without one.
            include_history: Give each example its history.
            strict_trajectory: Stop at the first turn that is left out: later ones may build on it.
            require_outputs: Leave out turns without outputs.
        """
        if metric is not None:
            self.score(metric)
        field = self.engine.options.history_field if include_history else None
        return examples.from_turns(self.state, field, min_score, strict_trajectory, require_outputs)

    def to_trainset(self, *args: Any, **kwargs: Any) -> list[dspy.Example]:
        """The same as ``to_examples``."""
        return self.to_examples(*args, **kwargs)

    @staticmethod
    def merge_examples(*sessions: Session, **kwargs: Any) -> list[dspy.Example]:
        """The examples of several sessions, one after the other; ``kwargs`` as for ``to_examples``."""
        return [example for session in sessions for example in session.to_examples(**kwargs)]

    # --- files ----------------------------------------------------------------------------------------------------

    def save_state(self, path: str | PathLike[str] | None = None) -> dict[str, Any]:
        """The conversation and the options as JSON values; written to ``path`` too if one is given.

        Raises:
            UnsupportedValueError: A value cannot be written and read back equal; the message names its field.
        """
        data = saved(self)
        if path is not None:
            files.write_json(path, data)
        return data

    def save(
        self,
        path: str | PathLike[str],
        save_program: bool | None = None,
        modules_to_serialize: list[Any] | None = None,
    ) -> None:
        """Write the conversation and the options to a JSON file, whole or not at all.

        With ``save_program`` or ``modules_to_serialize`` given, this is DSPy's own ``save`` instead: it writes the
        program (``save_program=True``) or the program's state (``save_program=False``), and never a turn.
        """
        if save_program is None and modules_to_serialize is None:
            self.save_state(path)
        else:
            super().save(path, save_program=bool(save_program), modules_to_serialize=modules_to_serialize)  # type: ignore[no-untyped-call]  # DSPy's

    @classmethod
    def load_from(cls, path: str | PathLike[str], module: dspy.Module, **overrides: Any) -> Session:
        """A session over ``module`` that goes on where ``save`` stopped.

        Args:
            path: A file of version 1 or 2, also one of dspy-session 0.1.2.
            module: The program.
            overrides: Options of ``Session`` or ``with_memory`` that replace the saved ones. Hooks, reducers and
                consolidators are code and not in the file: give them again.

        Raises:
            ValueError: The file has another version.
            StateFileError: The file is damaged; the message names it and what is wrong.
        """
        return restored(cls, path, module, overrides)

    def named_parameters(self) -> list[tuple[str, Any]]:
        """The parameters of the wrapped program, under the program's own names."""
        parameters: list[tuple[str, Any]] = self.module.named_parameters()
        return parameters

    def map_named_predictors(self, func: Callable[[Any], Any]) -> Session:
        """Replace every predictor of the program by what ``func`` makes of it."""
        if isinstance(self.module, dspy.Predict):
            self.module = func(self.module)
        else:
            self.module.map_named_predictors(func)
        self.engine.take(self.module)
        return self

    def dump_state(self, json_mode: bool = True) -> dict[str, Any]:
        """The state of the wrapped program (demos, instructions, …), as the bare program would write it."""
        state: dict[str, Any] = self.module.dump_state(json_mode=json_mode)
        return state

    def load_state(self, state: dict[str, Any], *, allow_unsafe_lm_state: bool = False) -> None:
        """Read what ``dump_state`` of a session or of the bare program wrote."""
        self.module.load_state(state, allow_unsafe_lm_state=allow_unsafe_lm_state)

    def deepcopy(self) -> Session:
        """A copy with its own module and a fork of the turns."""
        return self.__deepcopy__({})

    def reset_copy(self) -> Session:
        """A copy without turns, its program's parameters reset."""
        fresh = self._twin(copied(self.module, "deep"), self._turnless())
        for parameter in fresh.parameters():
            parameter.reset()
        return fresh

    def __copy__(self) -> Session:
        return self._twin(copied(self.module, "shallow"), self.state.fork())

    def __deepcopy__(self, memo: dict[int, Any]) -> Session:
        # An optimizer that copies its student wants the program, not what somebody said to it.
        state = self._turnless() if is_replay() else self.state.fork()
        twin = self._twin(copied(self.module, "deep"), state)
        memo[id(self)] = twin
        return twin

    def _turnless(self) -> SessionState:
        return SessionState(initial_history=self.state.initial_history)

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()  # type: ignore[no-untyped-call]  # DSPy's
        engine = state.pop("engine")
        state["module"] = for_a_file(self.module)
        # What was said is private and hooks are live objects; neither belongs in a saved program.
        state["pickled"] = (engine.options.with_(on_turn=None, before_turn=None), engine.rules, self.initial_history)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        options, rules, initial_history = state.pop("pickled")
        super().__setstate__(state)  # type: ignore[no-untyped-call]  # DSPy's
        self._wrap(state["module"], options, rules, initial_history, SessionState())

    def __repr__(self) -> str:
        engine = self.engine
        return (
            f"Session({type(self.module).__name__}, turns={len(self)}, history_field={engine.options.history_field!r})"
        )

    # --- options --------------------------------------------------------------------------------------------------

    @property
    def initial_history(self) -> dspy.History | None:
        """The seed of states that have none of their own."""
        seed = self.engine.seed
        if seed is None:
            return None
        return dspy.History.model_construct(messages=[whole_message(record) for record in seed])

    @initial_history.setter
    def initial_history(self, history: dspy.History | None) -> None:
        self.engine.seed = None if history is None else seed_records(history)

    history_field = Option(reaches_predictors=True)
    max_turns = Option()
    max_stored_turns = Option()
    exclude_fields = ExcludedFields()
    history_input_fields = Option()
    history_policy = Option()
    on_metric_error = Option()
    strict_history_annotation = Option(reaches_predictors=True)
    copy_mode = Option()
    lock = Option()
    on_turn = HooksOption()
    isolation = Option()
    lifespan = Option()
    consolidator = Option()
    before_turn = HooksOption()
    max_tokens = Option()
    reducer = Option()
    include_trajectory = Option()
    status_provider = Option()


def _called_by_dspy(session: Session) -> bool:
    """False when somebody called ``forward`` past ``__call__``, where callbacks and usage tracking live."""
    callers = setting("caller_modules")
    return callers is not None and callers[-1] is session


def sessionify(module: dspy.Module, **options: Any) -> Session:
    """Give ``module`` a memory; ``options`` are those of ``Session``."""
    return Session(module, **options)


def with_memory(
    module: dspy.Module,
    *,
    recursive: bool = True,
    include: Iterable[str] | None = None,
    exclude: Iterable[str] | None = None,
    where: Callable[[str, Any], bool] | None = None,
    child_configs: Mapping[str, Mapping[str, Any]] | None = None,
    copy_mode: str = "none",
    **options: Any,
) -> Session:
    """Give ``module`` a memory, and every predictor below it one of its own.

    Args:
        module: The program; it is not copied unless ``copy_mode`` says so.
        recursive: False to give only the root a memory.
        include: Dotted paths of the children; what is below a path counts. All predictors if None.
        exclude: Dotted paths that get no memory of their own.
        where: Called with ``(path, module)`` to choose the children.
        child_configs: Options by dotted path: ``isolation``, ``lifespan``, ``consolidator``, ``max_turns``,
            ``max_stored_turns``, ``exclude_fields``, ``history_input_fields``, ``enabled``. What stands for a module
            (a ``ReAct``) counts for every predictor in it; what stands closer to a predictor wins.
        copy_mode: As for ``Session``.
        options: The other options of ``Session``.
    """
    rules = ChildRules.of(
        recursive=recursive, include=include, exclude=exclude, where=where, child_configs=child_configs
    )
    return Session(module, copy_mode=copy_mode, _rules=rules, **options)
