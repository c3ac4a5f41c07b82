"""What a session adds to a predictor's signature, and how that is told from the predictor's own. Pure."""

from __future__ import annotations

import re
import types
from functools import lru_cache
from itertools import count
from typing import Annotated, Any, Union, get_args, get_origin

import dspy
from dspy.signatures.signature import ensure_signature

Signature = type[dspy.Signature]

_WHOLE_NAME = re.compile(r"(?<![\w])(?:\w+\.)*History(?![\w])")
_ADDED = "added_by_session"  # marks a field, so that it is known again on a signature made from a listed one


def as_signature(signature: str | Signature) -> Signature:
    """A signature that somebody wrote in either of DSPy's two ways."""
    made: Any = ensure_signature(signature)
    return made  # type: ignore[no-any-return]


def is_history(annotation: Any, strict: bool = False) -> bool:
    """True when an annotation means ``dspy.History``.

    ``History | None``, ``Annotated[History, ...]`` and string annotations count unless ``strict``.
    """
    if annotation is dspy.History:
        return True
    if strict:
        return False
    if isinstance(annotation, str):
        return bool(_WHOLE_NAME.search(annotation))
    if isinstance(annotation, type):
        return issubclass(annotation, dspy.History)
    origin = get_origin(annotation)
    if origin is Annotated:
        return is_history(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return any(is_history(option) for option in get_args(annotation))
    return False


def history_field(signature: Signature, strict: bool = False) -> str | None:
    """The name of a signature's input field that holds a history; None if there is none."""
    fields = signature.input_fields.items()
    return next((name for name, field in fields if is_history(field.annotation, strict)), None)


def field_for(signature: Signature, wanted: str, strict: bool = False) -> str:
    """The name under which a predictor of ``signature`` is given the history.

    Args:
        signature: The predictor's own signature.
        wanted: The name that the session uses.
        strict: Only the exact annotation ``dspy.History`` marks a field that is there already.

    Returns:
        The field that is there already, else ``wanted``, else, when that names something else, a name that is free.
    """
    declared = history_field(signature, strict=True) or history_field(signature, strict)
    if declared is not None:
        return declared
    if wanted not in signature.fields or (
        wanted in signature.input_fields and is_history(signature.input_fields[wanted].annotation)
    ):
        return wanted
    return free_name(signature, f"{wanted}_before")


@lru_cache(maxsize=1024)
def names_of(signature: Signature) -> tuple[frozenset[str], frozenset[str]]:
    """The names of a signature's inputs, and of its outputs."""
    return frozenset(signature.input_fields), frozenset(signature.output_fields)


@lru_cache(maxsize=1024)
def free_name(signature: Signature, wanted: str) -> str:
    """``wanted``, or something like it that no field of ``signature`` is named."""
    names = (wanted if number == 0 else f"{wanted}_{number}" for number in count())
    return next(name for name in names if name not in signature.fields)


# Answers are kept because DSPy works a signature's fields out anew at each read; those below also because making a
# signature costs as much as a small call, and ``Refine`` knows signatures by identity. The docstring is part of their
# keys because it holds the instructions, which DSPy lets people assign on a signature that stands.


def with_fields(signature: Signature, history: str = "", text: str = "") -> Signature:
    """The signature with fields for the conversation.

    Args:
        signature: A predictor's own signature.
        history: Name of the ``dspy.History`` field; empty for none.
        text: Name of the text field; empty for none.
    """
    return _with_fields(signature, signature.__doc__, history, text)


@lru_cache(maxsize=1024)
def _with_fields(signature: Signature, _instructions: str | None, history: str, text: str) -> Signature:
    made, own = signature, signature.input_fields.get(history)
    if text:
        # A signature with a history of its own is an agent's: what it did in this call is in there, and the text too.
        kind: Any = str if own is None else str | None
        made = made.prepend(text, _added("the conversation so far, oldest first"), type_=kind)
    if history and own is None:
        made = made.append(history, _added(), type_=dspy.History)
    elif own is not None and own.annotation is not dspy.History:
        made = made.with_updated_fields(history, type_=dspy.History)
    if made is not signature:
        # One call of a predictor asks some fifty times which fields there are; each time costs two microseconds.
        made.__class__ = _KnowsFields  # type: ignore[method-assign]  # what a class is may change, too
    return made


class _KnowsFields(type(dspy.Signature)):  # type: ignore[misc]  # a metaclass of DSPy's
    """The class of a signature that works its fields out once."""

    @property
    def input_fields(cls) -> dict[str, Any]:
        return dict(_fields(cls)[0])

    @property
    def output_fields(cls) -> dict[str, Any]:
        return dict(_fields(cls)[1])


@lru_cache(maxsize=1024)
def _fields(signature: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    derived: Any = type(dspy.Signature)
    return derived.input_fields.fget(signature), derived.output_fields.fget(signature)


def _added(description: str | None = None) -> Any:
    field: Any = dspy.InputField() if description is None else dspy.InputField(desc=description)
    field.json_schema_extra[_ADDED] = True
    return field


def own_part(signature: Signature) -> Signature:
    """The signature without what ``with_fields`` added, also after it was changed otherwise."""
    for name, field in signature.input_fields.items():
        if isinstance(field.json_schema_extra, dict) and _ADDED in field.json_schema_extra:
            signature = without_field(signature, name)
    return signature


def without_field(signature: Signature, name: str) -> Signature:
    """The signature without one of its fields."""
    return _without_field(signature, signature.__doc__, name)


@lru_cache(maxsize=1024)
def _without_field(signature: Signature, _instructions: str | None, name: str) -> Signature:
    return signature.delete(name) if name in signature.fields else signature
