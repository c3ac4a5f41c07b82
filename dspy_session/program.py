"""What a session has to know of the program that it wraps. Found out once, when it is wrapped."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import dspy

from dspy_session.binding import own_signature
from dspy_session.signatures import is_history

NO_PROGRAM = frozenset({"callbacks", "history", "demos", "traces", "train"})
"""Names of what a module holds beside its program."""
_HOLDERS = (list, dict, tuple, dspy.Module)
"""What can hold a predictor."""


def modules_below(root: Any, path: str = "") -> Iterator[tuple[str, dspy.Module]]:
    """The predictors and sessions of a program with their dotted paths, frozen sub-modules included.

    What is inside a session belongs to that session and is not walked into.
    """
    from dspy_session.session import Session

    seen: set[int] = set()  # identities are compared only while the walk holds the objects

    def walk(item: Any, at: str) -> Iterator[tuple[str, dspy.Module]]:
        if id(item) in seen:
            return
        seen.add(id(item))
        if isinstance(item, (dspy.Predict, Session)):
            yield at, item
        if not isinstance(item, Session):
            for name, value in _held(item, at):
                yield from walk(value, name)

    yield from walk(root, path)


def _held(item: dspy.Module | dict[Any, Any] | list[Any] | tuple[Any, ...], at: str) -> Iterator[tuple[str, Any]]:
    """The modules and containers that a module or a container holds, with their dotted paths.

    Agents may hold all that they know, a hundred thousand texts of it: these are passed over at once.
    """
    if isinstance(item, dspy.Module):
        held = [(name, value) for name, value in vars(item).items() if name not in NO_PROGRAM]
        yield from ((f"{at}.{name}" if at else name, value) for name, value in held if isinstance(value, _HOLDERS))
    elif isinstance(item, dict):
        yield from ((f"{at}[{key!r}]", value) for key, value in item.items() if isinstance(value, _HOLDERS))
    else:
        yield from ((f"{at}[{place}]", value) for place, value in enumerate(item) if isinstance(value, _HOLDERS))


@dataclass(frozen=True, slots=True)
class Program:
    """A module as its session sees it.

    Args:
        module: The module.
        inputs: Names of its inputs; None when any name is one.
        spoken: Names of its own inputs and outputs; None when it declares none.
        history_parameter: Name under which ``forward`` takes the history; None when it takes none.
        threaded: True when it can only run synchronously, so that ``acall`` runs it in a thread.
    """

    module: dspy.Module
    inputs: frozenset[str] | None
    spoken: frozenset[str] | None
    history_parameter: str | None
    threaded: bool

    @classmethod
    def of(cls, module: dspy.Module, field: str, strict: bool) -> Program:
        """Look at ``module`` as the program of a session with the history field ``field``."""
        parameters = _parameters(module)
        signature = declared_signature(module)
        named = [
            parameter.name
            for parameter in parameters.values()
            if parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        ]
        open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
        inputs: frozenset[str] | None = None
        if signature is not None:
            inputs = frozenset(signature.input_fields) | frozenset(
                named if not isinstance(module, dspy.Predict) else ()
            )
        elif not open_ended:
            inputs = frozenset(named)
        return cls(
            module,
            inputs,
            None if signature is None else frozenset(signature.fields),
            _history_parameter(module, parameters, field, strict),
            _runs_in_thread(module),
        )


def declared_signature(module: dspy.Module) -> type[dspy.Signature] | None:
    """The signature that a module declares as its own, without what sessions add; None when it declares none."""
    if isinstance(module, dspy.Predict):
        return own_signature(module)
    if isinstance(module, dspy.ChainOfThought):
        return own_signature(module.predict)
    signature = vars(module).get("signature")
    return signature if isinstance(signature, type) and issubclass(signature, dspy.Signature) else None


def _parameters(module: dspy.Module) -> Mapping[str, inspect.Parameter]:
    forward = vars(module).get("forward") or getattr(type(module), "forward", None)
    if forward is None:
        forward = getattr(type(module), "aforward", None)
    if forward is None:
        return {}
    try:
        signature = inspect.signature(forward, eval_str=True)
    except Exception:  # noqa: BLE001  # an annotation names what only a type checker imports
        signature = inspect.signature(forward)
    return {name: parameter for name, parameter in signature.parameters.items() if name != "self"}


def _history_parameter(
    module: dspy.Module, parameters: Mapping[str, inspect.Parameter], field: str, strict: bool
) -> str | None:
    if isinstance(module, dspy.Predict):
        return None
    if isinstance(module, dspy.ReActV2):
        return "history"
    if field in parameters:
        return field
    for parameter in parameters.values():
        if is_history(parameter.annotation, strict):
            return parameter.name
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    # DSPy's own programs take **kwargs and refuse names that they do not know; their predictors are reached anyway.
    return field if open_ended and not _is_dspys_own(module) else None


def _is_dspys_own(module: dspy.Module) -> bool:
    if isinstance(module, dspy.RLM):  # refuses unknown names, and so does whoever overrides its forward to call it
        return True
    forward = vars(module).get("forward") or getattr(type(module), "forward", None)
    return str(getattr(forward, "__module__", "")).split(".")[0] == "dspy"


def _runs_in_thread(module: dspy.Module) -> bool:
    # CodeAct takes over the aforward of ReAct, which does not fit it (DSPy 3.4).
    return not hasattr(type(module), "aforward") or isinstance(module, dspy.CodeAct)
