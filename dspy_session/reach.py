"""What a session finds in its program: the predictors that it reaches, and its children."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import dspy

from dspy_session.binding import Binding, own_signature
from dspy_session.history import View
from dspy_session.injection import bind, unlist
from dspy_session.policy import ChildRules, NodePolicy, Options, is_below
from dspy_session.program import Program, modules_below
from dspy_session.signatures import field_for, history_field
from dspy_session.turn import Record

if TYPE_CHECKING:
    from dspy_session.engine import Engine

logger = logging.getLogger(__name__)


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

    @classmethod
    def of(
        cls,
        path: str,
        module: dspy.Module,
        policy: NodePolicy,
        rules: ChildRules,
        hidden: frozenset[str],
        engine: Engine | None = None,
    ) -> Node:
        """The child at ``path``; ``hidden`` are the names that carry its history."""
        policy = policy.changed(path, rules.config(path))
        view = View((), policy.exclude_fields | hidden, policy.history_input_fields)
        return cls(module, policy, view, engine)


@dataclass(slots=True)
class Reach:
    """A program as its session sees it.

    Args:
        program: The program.
        options: The session's options; a root predictor that has a history field already has given its name.
        nodes: The children, by dotted path.
        adopted: The paths of the sessions among them, by their keys.
    """

    program: Program
    options: Options
    nodes: dict[str, Node] = field(default_factory=dict)
    adopted: dict[str, str] = field(default_factory=dict)


def reach(module: dspy.Module, options: Options, rules: ChildRules, key: str, reached: list[dspy.Predict]) -> Reach:
    """Reach the predictors of ``module`` for the session of ``key``.

    Args:
        module: The program.
        options: The session's options.
        rules: Which predictors become children.
        key: The session's key.
        reached: Where the predictors are written down, to be let go of one day.

    Raises:
        ValueError: ``child_configs`` names a module that the program does not have.
    """
    from dspy_session.session import Session

    for _, found in modules_below(module):
        if isinstance(found, dspy.Predict):
            unlist(found)
    options = _followed(module, options)
    reach = Reach(Program.of(module, options.history_field, options.strict_history_annotation), options)
    inherited = NodePolicy.inherited(options)
    for path, found in modules_below(module):
        child = bool(path) and rules.admits(path, found)
        if isinstance(found, dspy.Predict):
            binding = _binding(path, found, options)
            bind(found, key, binding)
            reached.append(found)
            if child:
                reach.nodes[path] = Node.of(path, found, inherited, rules, frozenset((binding.field,)))
        elif child and isinstance(found, Session):
            engine = found.engine
            own = NodePolicy.of(engine.options)
            reach.nodes[path] = Node.of(path, found, own, rules, engine.history_names, engine)
            reach.adopted[engine.key] = path
    _check_configs(module, rules)
    return reach


def _binding(path: str, predictor: dspy.Predict, options: Options) -> Binding:
    own = own_signature(predictor)
    name = field_for(own, options.history_field, options.strict_history_annotation)
    is_there = name in own.input_fields
    _warn_of_other_name(path or type(predictor).__name__, name if is_there else None, options)
    return Binding(path, name, is_there and own.input_fields[name].annotation is dspy.History)


def _followed(module: dspy.Module, options: Options) -> Options:
    """A root predictor that has a history field already gives the session its name."""
    predictors = [found for _, found in modules_below(module) if isinstance(found, dspy.Predict)]
    if len(predictors) != 1 or not isinstance(module, (dspy.Predict, dspy.ChainOfThought)):
        return options
    declared = history_field(own_signature(predictors[0]), options.strict_history_annotation)
    if not declared or declared == options.history_field:
        return options
    _warn_of_other_name(type(predictors[0]).__name__, declared, options)
    return options.with_(history_field=declared)


def _warn_of_other_name(who: str, declared: str | None, options: Options) -> None:
    asked = options.history_field
    if declared and asked not in ("history", declared):
        logger.warning("%s has the history field %r already, which is used instead of %r.", who, declared, asked)


def _check_configs(module: dspy.Module, rules: ChildRules) -> None:
    predictors = sorted(path for path, _ in modules_below(module) if path)
    known = {*predictors, *(name.removeprefix("self.") for name, _ in module.named_sub_modules())}
    for path in rules.configs:
        if path not in known and not any(is_below(predictor, path) for predictor in predictors):
            raise ValueError(
                f"child_configs names {path!r}, which is no module of this program; its predictors are: "
                f"{', '.join(predictors) or 'none'}"
            )
