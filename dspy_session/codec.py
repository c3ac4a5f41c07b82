"""Values to JSON and back, equal: what JSON does not have is tagged with its type, and what cannot come back raises.

A tagged value is an object with the single key ``"$type"`` beside its data, for example
``{"$type": "tuple", "items": [1, 2]}``; an object of the user's that has a key ``"$type"`` is tagged ``dict`` itself.
Nothing is ever pickled, and reading imports no module: a model's or an enum's class must have been imported already.
"""

from __future__ import annotations

import base64
import datetime
import decimal
import enum
import math
import sys
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import dspy
import pydantic

from dspy_session.errors import StateFileError, UnsupportedValueError

TAG = "$type"


def to_json(value: Any, where: str = "value") -> Any:
    """``value`` in JSON's own types.

    Args:
        value: What to write.
        where: The name of the field, for the error message.

    Raises:
        UnsupportedValueError: ``value`` holds something that could not be read back equal.
    """
    kind = type(value)
    if kind in (str, bool, int) or value is None:
        return value
    if kind is float:
        return value if math.isfinite(value) else {TAG: "float", "value": repr(value)}
    if kind is list:
        return [to_json(item, f"{where}[{position}]") for position, item in enumerate(value)]
    if kind is dict:
        return _dict_to_json(value, where)
    if kind in (tuple, set, frozenset):
        items = _sorted(value) if kind is not tuple else value
        return {TAG: kind.__name__, "items": [to_json(item, where) for item in items]}
    if isinstance(value, enum.Enum):
        return {TAG: "enum", "class": _class_name(kind, where), "name": value.name}
    if isinstance(value, pydantic.BaseModel):
        return _model_to_json(value, where)
    if kind in (dspy.Example, dspy.Prediction):
        return {TAG: kind.__name__, "fields": {name: to_json(item, f"{where}.{name}") for name, item in value.items()}}
    if kind in _SCALARS:
        return {TAG: kind.__name__, "value": _SCALARS[kind][0](value)}
    raise UnsupportedValueError(
        f"{where} holds a {kind.__module__}.{kind.__qualname__}, which cannot be saved and read back equal: "
        "convert it, or leave the field out"
    )


def from_json(value: Any, where: str = "value") -> Any:
    """The value that ``to_json`` wrote.

    Raises:
        StateFileError: ``value`` is not what ``to_json`` writes, or needs a class that has not been imported.
    """
    if isinstance(value, list):
        return [from_json(item, where) for item in value]
    if not isinstance(value, dict):
        return value
    tag = value.get(TAG)
    if tag is None:
        return {key: from_json(item, f"{where}.{key}") for key, item in value.items()}
    reader = _READERS.get(tag) if isinstance(tag, str) else None
    if reader is None:
        raise StateFileError(f"{where} has the unknown type {tag!r}; it was written by a newer version, or damaged")
    try:
        return reader(value, where)
    except StateFileError:
        raise
    except Exception as error:
        raise StateFileError(f"{where} is damaged: no {tag} can be read from it ({error})") from error


def _sorted(items: set[Any] | frozenset[Any]) -> list[Any]:
    """A stable order, so that the same set is written alike each time."""
    return sorted(items, key=lambda item: (type(item).__qualname__, repr(item)))


def _dict_to_json(value: dict[Any, Any], where: str) -> Any:
    if TAG not in value and all(type(key) is str for key in value):
        return {key: to_json(item, f"{where}.{key}") for key, item in value.items()}
    return {
        TAG: "dict",
        "items": [[to_json(key, where), to_json(item, f"{where}.{key}")] for key, item in value.items()],
    }


def _model_to_json(value: pydantic.BaseModel, where: str) -> dict[str, Any]:
    kind = type(value)
    written = {
        TAG: "model",
        "class": _class_name(kind, where),
        "fields": {name: to_json(getattr(value, name), f"{where}.{name}") for name in kind.model_fields},
    }
    if value.model_extra:
        written["extra"] = {name: to_json(item, f"{where}.{name}") for name, item in value.model_extra.items()}
    if value.model_fields_set != set(kind.model_fields) | set(value.model_extra or ()):
        written["set"] = sorted(value.model_fields_set)
    return written


def _model_from_json(data: dict[str, Any], where: str) -> pydantic.BaseModel:
    kind = _class(data["class"], where)
    if not issubclass(kind, pydantic.BaseModel):
        raise StateFileError(f"{where} names the class {data['class']}, which is no pydantic model")
    fields = {name: from_json(item, f"{where}.{name}") for name, item in data["fields"].items()}
    extra = {name: from_json(item, f"{where}.{name}") for name, item in data.get("extra", {}).items()}
    chosen = set(data["set"]) if "set" in data else set(fields) | set(extra)
    # Not validated again: a validator may change what it is given (an Image downloads), and the values stood before.
    return kind.model_construct(_fields_set=chosen, **fields, **extra)


def _class_name(kind: type, where: str) -> str:
    name = f"{kind.__module__}:{kind.__qualname__}"
    try:
        found = _class(name, where)
    except StateFileError:
        found = None
    if found is not kind:
        raise UnsupportedValueError(
            f"{where} holds a {kind.__module__}.{kind.__qualname__}, whose class cannot be found by its name again: "
            "define it at the top of a module"
        )
    return name


def _class(name: str, where: str) -> type:
    module_name, _, path = name.partition(":")
    found: Any = sys.modules.get(module_name)
    if found is None:
        raise StateFileError(f"{where} needs the class {name}: import {module_name} before loading")
    for part in path.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, type):
        raise StateFileError(f"{where} needs the class {name}, which {module_name} does not have")
    return found


def _enum_from_json(data: dict[str, Any], where: str) -> enum.Enum:
    kind = _class(data["class"], where)
    if not issubclass(kind, enum.Enum):
        raise StateFileError(f"{where} names the class {data['class']}, which is no enum")
    return kind[data["name"]]


def _timedelta(text: str) -> datetime.timedelta:
    days, seconds, microseconds = (int(part) for part in text.split(","))
    return datetime.timedelta(days, seconds, microseconds)


_SCALARS: Mapping[type, tuple[Callable[[Any], str], Callable[[str], Any]]] = {
    bytes: (lambda value: base64.b64encode(value).decode(), lambda text: base64.b64decode(text, validate=True)),
    complex: (str, complex),
    decimal.Decimal: (str, decimal.Decimal),
    datetime.datetime: (datetime.datetime.isoformat, datetime.datetime.fromisoformat),
    datetime.date: (datetime.date.isoformat, datetime.date.fromisoformat),
    datetime.time: (datetime.time.isoformat, datetime.time.fromisoformat),
    datetime.timedelta: (lambda value: f"{value.days},{value.seconds},{value.microseconds}", _timedelta),
    uuid.UUID: (str, uuid.UUID),
}

_Reader = Callable[[dict[str, Any], str], Any]


def _scalar_reader(read: Callable[[str], Any]) -> _Reader:
    return lambda data, where: read(data["value"])


def _items(data: dict[str, Any], where: str) -> list[Any]:
    return [from_json(item, where) for item in data["items"]]


def _fields(data: dict[str, Any], where: str) -> dict[str, Any]:
    return {name: from_json(item, f"{where}.{name}") for name, item in data["fields"].items()}


_READERS: Mapping[str, _Reader] = {
    "float": lambda data, where: float(data["value"]),
    "tuple": lambda data, where: tuple(_items(data, where)),
    "set": lambda data, where: set(_items(data, where)),
    "frozenset": lambda data, where: frozenset(_items(data, where)),
    "dict": lambda data, where: {
        from_json(key, where): from_json(item, where) for key, item in data["items"]
    },
    "enum": _enum_from_json,
    "model": _model_from_json,
    "Example": lambda data, where: dspy.Example(**_fields(data, where)),
    "Prediction": lambda data, where: dspy.Prediction(**_fields(data, where)),
    **{kind.__name__: _scalar_reader(read) for kind, (_, read) in _SCALARS.items()},
}
