"""What people can choose about a session, checked once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import dspy

HistoryPolicy = Literal["override", "use_if_provided", "replace_session"]
OnMetricError = Literal["zero", "raise"]
CopyMode = Literal["deep", "shallow", "none"]
Lock = Literal["none", "thread", "async"]
Isolation = Literal["isolated", "shared"]
Lifespan = Literal["persistent", "episodic", "stateless"]

_CHOICES: Mapping[str, tuple[str, ...]] = {
    "history_policy": get_args(HistoryPolicy),
    "on_metric_error": get_args(OnMetricError),
    "copy_mode": get_args(CopyMode),
    "lock": get_args(Lock),
    "isolation": get_args(Isolation),
    "lifespan": get_args(Lifespan),
}
_COUNTS = ("max_turns", "max_stored_turns", "max_tokens")


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a session; ``Session`` says what each means.

    Raises:
        ValueError: An option has a value outside its list, or a count is negative.
        TypeError: An option has a value of the wrong kind.
    """

    history_field: str = "history"
    max_turns: int | None = None
    max_stored_turns: int | None = None
    exclude_fields: frozenset[str] = frozenset()
    history_input_fields: frozenset[str] | None = None
    history_policy: HistoryPolicy = "override"
    on_metric_error: OnMetricError = "zero"
    strict_history_annotation: bool = False
    copy_mode: CopyMode = "deep"
    lock: Lock = "none"
    on_turn: tuple[Callable[..., Any], ...] = ()
    before_turn: tuple[Callable[..., Any], ...] = ()
    isolation: Isolation = "isolated"
    lifespan: Lifespan = "persistent"
    consolidator: Callable[..., Any] | None = None
    max_tokens: int | None = None
    reducer: Callable[..., dspy.History] | None = None
    include_trajectory: bool = False
    status_provider: Any = None

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}; got {getattr(self, name)!r}")
        for name in _COUNTS:
            count = getattr(self, name)
            if count is not None and (isinstance(count, bool) or not isinstance(count, int)):
                raise TypeError(f"{name} must be a whole number or None; got {count!r}")
            if count is not None and count < 0:
                raise ValueError(f"{name} must not be negative; got {count}")
        if not isinstance(self.history_field, str) or not self.history_field.isidentifier():
            raise ValueError(f"history_field must be a name; got {self.history_field!r}")
        for name in ("consolidator", "reducer"):
            if getattr(self, name) is not None and not callable(getattr(self, name)):
                raise TypeError(f"{name} must be callable; got {getattr(self, name)!r}")
        if self.reducer is not None and self.max_tokens is not None:
            raise ValueError("reducer and max_tokens both shorten the history: choose one")

    def with_(self, **changes: Any) -> Options:
        """These options with some changed, checked again."""
        return replace(self, **clean(changes))


def clean(given: Mapping[str, Any]) -> dict[str, Any]:
    """The given values in the form that ``Options`` keeps: names as frozen sets, hooks as tuples."""
    cleaned = dict(given)
    for name in ("exclude_fields", "history_input_fields"):
        if cleaned.get(name) is not None:
            cleaned[name] = _names(name, cleaned[name])
        elif name == "exclude_fields" and name in cleaned:
            cleaned[name] = frozenset()
    for name in ("on_turn", "before_turn"):
        if name in cleaned:
            cleaned[name] = _hooks(name, cleaned[name])
    return cleaned


def _names(option: str, given: Any) -> frozenset[str]:
    names = [given] if isinstance(given, str) else list(given) if isinstance(given, Iterable) else [given]
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"{option} must be names of fields; got {given!r}")
    return frozenset(names)


def _hooks(option: str, given: Any) -> tuple[Callable[..., Any], ...]:
    if given is None:
        return ()
    hooks = tuple(given) if isinstance(given, (list, tuple)) else (given,)
    for hook in hooks:
        if not callable(hook):
            raise TypeError(f"{option} must be callable, or a list of callables; got {hook!r}")
    return hooks


@dataclass(frozen=True, slots=True)
class NodePolicy:
    """How one child of a ``with_memory`` program remembers.

    Args:
        isolation: ``"isolated"`` for a ledger of its own, ``"shared"`` to read the root's history and record nothing.
        lifespan: ``"persistent"``, ``"episodic"`` (one root call, then consolidated) or ``"stateless"``.
        consolidator: What turns an episode into long-term memory.
        max_turns: Window over the child's own turns, in messages.
        max_stored_turns: How many of its turns are kept.
        exclude_fields: Fields that its history leaves out.
        history_input_fields: The inputs that its history shows; None for all.
    """

    isolation: Isolation = "isolated"
    lifespan: Lifespan = "persistent"
    consolidator: Callable[..., Any] | None = None
    max_turns: int | None = None
    max_stored_turns: int | None = None
    exclude_fields: frozenset[str] = frozenset()
    history_input_fields: frozenset[str] | None = None

    @classmethod
    def of(cls, options: Options) -> NodePolicy:
        """The policy that a session's options ask for."""
        return cls(**{name: getattr(options, name) for name in cls.__slots__})

    @classmethod
    def inherited(cls, options: Options) -> NodePolicy:
        """What a child takes over from the root: its window and its field options."""
        names = ("max_turns", "max_stored_turns", "exclude_fields", "history_input_fields")
        return cls(**{name: getattr(options, name) for name in names})

    def changed(self, path: str, config: Mapping[str, Any]) -> NodePolicy:
        """This policy with what ``child_configs`` says for ``path``."""
        changes = {name: value for name, value in config.items() if name != "enabled"}
        unknown = sorted(set(changes) - set(self.__slots__))
        if unknown:
            known = ", ".join(("enabled", *self.__slots__))
            raise ValueError(f"child_configs[{path!r}] has the unknown option {unknown[0]!r}; known are {known}")
        Options(**clean(changes))  # the same checks, with the same words
        return replace(self, **clean(changes))


@dataclass(frozen=True, slots=True)
class ChildRules:
    """Which predictors below the root become children.

    Args:
        recursive: False for none.
        include: Paths (and everything below them) that become children; None for all.
        exclude: Paths (and everything below them) that do not.
        where: Called with ``(path, module)``; a falsy answer leaves the module out.
        configs: Options by path; what stands for a module counts for everything below it, and the closest wins.
    """

    recursive: bool = False
    include: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    where: Callable[[str, Any], bool] | None = None
    configs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        *,
        recursive: bool = True,
        include: Iterable[str] | None = None,
        exclude: Iterable[str] | None = None,
        where: Callable[[str, Any], bool] | None = None,
        child_configs: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> ChildRules:
        """The rules that the arguments of ``with_memory`` ask for.

        Raises:
            TypeError: An argument has a value of the wrong kind.
        """
        if not isinstance(recursive, bool):
            raise TypeError(f"recursive must be True or False; got {recursive!r}")
        configs = {} if child_configs is None else child_configs
        if not isinstance(configs, Mapping) or not all(isinstance(config, Mapping) for config in configs.values()):
            raise TypeError(f"child_configs must be a dict of options by path; got {child_configs!r}")
        return cls(recursive, _paths("include", include), _paths("exclude", exclude) or (), where, dict(configs))

    def to_json(self) -> dict[str, Any]:
        """What ``of`` needs to make these rules again, less the code: ``where`` and consolidators."""
        return {
            "recursive": self.recursive,
            "include": None if self.include is None else list(self.include),
            "exclude": list(self.exclude),
            "child_configs": {path: _plain(config) for path, config in self.configs.items()},
        }

    def config(self, path: str) -> dict[str, Any]:
        """What ``configs`` says for the module at ``path``."""
        around = sorted((prefix for prefix in self.configs if is_below(path, prefix)), key=len)
        return {name: value for prefix in around for name, value in self.configs[prefix].items()}

    def admits(self, path: str, module: Any) -> bool:
        """True when the module at ``path`` becomes a child."""
        if not self.recursive or self.config(path).get("enabled") is False:
            return False
        if self.include is not None and not any(is_below(path, prefix) for prefix in self.include):
            return False
        if any(is_below(path, prefix) for prefix in self.exclude):
            return False
        return self.where is None or bool(self.where(path, module))


def _paths(option: str, given: Any) -> tuple[str, ...] | None:
    if given is None:
        return None
    paths = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, Iterable) else (given,)
    if isinstance(given, Mapping) or not all(isinstance(path, str) for path in paths):
        raise TypeError(f"{option} must be dotted paths of modules; got {given!r}")
    return paths


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """A child's options as JSON values."""
    cleaned = clean({name: value for name, value in config.items() if name != "consolidator"})
    return {name: sorted(value) if isinstance(value, frozenset) else value for name, value in cleaned.items()}


def is_below(path: str, prefix: str) -> bool:
    """True when the module at ``path`` is the one at ``prefix``, or a part of it."""
    return path == prefix or path.startswith((f"{prefix}.", f"{prefix}["))
