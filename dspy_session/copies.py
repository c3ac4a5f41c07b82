"""Copies of a program: what of it a session may change without its owner noticing."""

from __future__ import annotations

import copy
from typing import Any

import dspy

from dspy_session.injection import unbind
from dspy_session.program import NO_PROGRAM, modules_below


def copied(module: dspy.Module, mode: str) -> dspy.Module:
    """The module that a session works on.

    Args:
        module: The user's module.
        mode: ``"deep"``: everything is copied. ``"shallow"``: the modules are, what they hold is shared. ``"none"``: it
            is the module itself.
    """
    if mode == "none":
        return module
    twin: dspy.Module = module.deepcopy() if mode == "deep" else _shallow(module, {})
    _give_callbacks(module, twin)
    forget_sessions(twin)
    return twin


def forget_sessions(module: dspy.Module) -> None:
    """Let go of the sessions that reached what ``module`` was copied from; sessions inside keep what is theirs."""
    unbind(found for _, found in modules_below(module) if isinstance(found, dspy.Predict))


def _give_callbacks(source: dspy.Module, twin: dspy.Module) -> None:
    """DSPy leaves callbacks out when it copies."""
    copies = dict(twin.named_sub_modules())
    for name, original in source.named_sub_modules():
        copied_one = copies.get(name)
        if isinstance(original, dspy.Module) and type(copied_one) is type(original):
            copied_one.callbacks = list(original.callbacks)


def for_a_file(module: dspy.Module) -> dspy.Module:
    """A copy whose language models have forgotten what they were asked: they log it, and it is nobody's business."""
    twin: dspy.Module = _shallow(module, {})
    forget_sessions(twin)
    made: dict[int, Any] = {}
    for _, part in twin.named_sub_modules(dspy.Module):
        for name, value in vars(part).items():
            if name not in NO_PROGRAM:
                vars(part)[name] = _quiet(value, made)
    return twin


def _quiet(value: Any, made: dict[int, Any]) -> Any:
    if isinstance(value, dspy.BaseLM):
        return made.setdefault(id(value), value.copy() if value.history else value)
    if type(value) is dict:
        return {key: _quiet(item, made) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_quiet(item, made) for item in value)
    return value


def _shallow(item: Any, made: dict[int, Any]) -> Any:
    """Modules, and what holds modules, as copies; the rest as it is."""
    from dspy_session.session import Session

    if id(item) in made:
        return made[id(item)]
    if isinstance(item, Session):  # what is said to the copy is not said to the original
        made[id(item)] = copy.copy(item)
    elif isinstance(item, dspy.Module):
        twin = made[id(item)] = type(item).__new__(type(item))
        for name, value in vars(item).items():
            vars(twin)[name] = list(value) if name in ("callbacks", "demos") else _shallow(value, made)
    elif isinstance(item, dict) and _holds_modules(item):
        return {key: _shallow(value, made) for key, value in item.items()}
    elif isinstance(item, (list, tuple)) and _holds_modules(item):
        return type(item)(_shallow(value, made) for value in item)
    return made.get(id(item), item)


def _holds_modules(item: Any) -> bool:
    if isinstance(item, dict):
        return any(map(_holds_modules, item.values()))
    if isinstance(item, (list, tuple)):
        return any(map(_holds_modules, item))
    return isinstance(item, dspy.Module)
