"""A session in a file: its options beside its conversation, as dspy-session 0.1.2 lays them out, and more keys."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

import dspy

from dspy_session import files
from dspy_session.errors import StateFileError
from dspy_session.history import View
from dspy_session.policy import ChildRules, Options, clean

if TYPE_CHECKING:
    from dspy_session.session import Session

FILE_VERSION = 2
"""Version 1 is read as well; 0.1.2 reads and writes both."""

SAVED_OPTIONS = (
    "history_field",
    "max_turns",
    "max_stored_turns",
    "copy_mode",
    "history_policy",
    "on_metric_error",
    "strict_history_annotation",
    "lock",
    "isolation",
    "lifespan",
    "max_tokens",
    "include_trajectory",
)

_CHILD_OPTIONS = ("recursive", "include", "exclude", "where", "child_configs")


def saved(session: Session) -> dict[str, Any]:
    """The conversation and the options of a session, as JSON values.

    Raises:
        UnsupportedValueError: A value cannot be written and read back equal; the message names its field.
    """
    engine, state = session.engine, session.state
    options = engine.options
    seed = state.initial_history if state.seed is not None else session.initial_history
    data: dict[str, Any] = {"version": FILE_VERSION}
    data |= {name: getattr(options, name) for name in SAVED_OPTIONS}
    only = options.history_input_fields
    if engine.rules.recursive:
        data |= engine.rules.to_json()
    data["exclude_fields"] = sorted(options.exclude_fields | {options.history_field})
    data["history_input_fields"] = None if only is None else sorted(only)
    data |= files.state_to_dict(state) | {"version": FILE_VERSION}
    data["initial_history"] = files.history_to_json(seed)
    return data


def restored(kind: type[Session], path: str | PathLike[str], module: dspy.Module, overrides: dict[str, Any]) -> Session:
    """The session of a file, over ``module``; ``Session.load_from`` says what may go wrong."""
    data = files.read_json(path)
    with files.naming(str(path)):
        options, rules, seed = _saved_options(data)
        rules |= {name: overrides.pop(name) for name in _CHILD_OPTIONS if name in overrides}
        options |= {"initial_history": seed, **overrides}
        session = kind(module, **options, _rules=ChildRules.of(**rules) if rules else None)
        engine = session.engine
        view = View(
            engine.seed or (),
            engine.options.exclude_fields | engine.history_names,
            engine.options.history_input_fields,
        )
        state = files.read_state({**data, "initial_history": None}, view, engine.options.max_turns)
    engine.home = lambda: state
    return session


def _saved_options(data: Any) -> tuple[dict[str, Any], dict[str, Any], dspy.History | None]:
    """The options, the rules for children and the seed in a saved session."""
    if not isinstance(data, dict):
        raise StateFileError("a saved session is an object")
    version = data.get("version", 1)
    if version not in (1, FILE_VERSION):
        raise StateFileError(f"Unsupported session state version: {version}")
    options = {name: data[name] for name in (*SAVED_OPTIONS, "history_input_fields", "exclude_fields") if name in data}
    rules = {name: data[name] for name in _CHILD_OPTIONS if name in data}
    try:
        found = Options(**clean(options))
        ChildRules.of(**rules)
    except (TypeError, ValueError) as error:
        raise StateFileError(f"an option is damaged: {error}") from error
    options["exclude_fields"] = found.exclude_fields - {found.history_field}
    return options, rules, files.history_from_json(data.get("initial_history"))
