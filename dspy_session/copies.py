"""Copies of a program: what of it a session may change without its owner noticing."""

from __future__ import annotations

import copy
from typing import Any

import dspy

from dspy_session.injection import unbind_all
from dspy_session.program import modules_below


def copied(module: dspy.Module, mode: str) -> dspy.Module:
    """The module that a session works on.

    Args:
        module: The user's module.
        mode: ``"deep"``: everything is copied. ``"shallow"``: the modules are, what they hold is shared. ``"none"``: it
            is the module itself.
    """
    if mode == "none":
        return module
    twin: dspy.Module
    if mode == "shallow":
        twin = _shallow(module, {})
    else:
        twin = module.deepcopy()
        _give_callbacks(module, twin)
    forget_sessions(twin)
    return twin


def forget_sessions(module: dspy.Module) -> None:
    """Let go of the sessions that reached what ``module`` was copied from; sessions inside keep what is theirs."""
    for _, found in modules_below(module):
        if isinstance(found, dspy.Predict):
            unbind_all(found)


def _give_callbacks(source: dspy.Module, twin: dspy.Module) -> None:
    """DSPy leaves callbacks out when it copies."""
    for (_, original), (_, copied_one) in zip(source.named_sub_modules(), twin.named_sub_modules(), strict=False):
        if isinstance(original, dspy.Module) and type(original) is type(copied_one):
            copied_one.callbacks = list(original.callbacks)


def _shallow(item: Any, made: dict[int, Any]) -> Any:
    from dspy_session.session import Session

    if not isinstance(item, (dspy.Module, list, tuple, dict)):
        return item
    if id(item) in made:
        return made[id(item)]
    if isinstance(item, Session):
        return made.setdefault(id(item), copy.copy(item))
    if isinstance(item, dspy.Module):
        twin = made[id(item)] = type(item).__new__(type(item))
        for name, value in vars(item).items():
            twin.__dict__[name] = list(value) if name in ("callbacks", "demos") else _shallow(value, made)
        return twin
    if not _holds_modules(item):
        return item
    if isinstance(item, dict):
        return {key: _shallow(value, made) for key, value in item.items()}
    return type(item)(_shallow(value, made) for value in item)


def _holds_modules(item: Any) -> bool:
    values = item.values() if isinstance(item, dict) else item
    return any(
        isinstance(value, dspy.Module) or (isinstance(value, (list, tuple, dict)) and _holds_modules(value))
        for value in values
    )
