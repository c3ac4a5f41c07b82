"""Values to JSON and back, equal: what JSON does not have is tagged with its type, and what cannot come back raises.

A tagged value is an object with the single key ``"$type"`` beside its data, for example
``{"$type": "tuple", "items": [1, 2]}``; an object of the user's that has a key ``"$type"`` is tagged ``dict`` itself.
Nothing is ever pickled, and reading imports no module: a model's or an enum's class must have been imported already.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import decimal
import enum
import json
import math
import sys
import types
import uuid
from collections.abc import Callable, Mapping
from typing import Any
from zoneinfo import ZoneInfo

import dspy
import pydantic

from dspy_session.errors import StateFileError, UnsupportedValueError

TAG = "$type"

_LONG_INT = 14_000
"""Bits of an integer that JSON cannot carry: Python reads and writes 4,300 decimal digits at most."""

_DEEPEST = 100
"""How deep values may lie in one another: within what Python can read back wherever it stands."""

_Reader = Callable[[dict[str, Any], str], Any]
_Writer = Callable[[Any, str, int], Any]


def to_json(value: Any, where: str = "value", depth: int = 0) -> Any:
    """``value`` in JSON's own types.

    Args:
        value: What to write.
        where: The name of the field, for the error message.
        depth: In how many other values it lies.

    Raises:
        UnsupportedValueError: ``value`` holds something that could not be read back equal.
    """
    kind = type(value)
    if kind in _PLAIN:
        return value
    writer = _WRITERS.get(kind)
    if writer is None and isinstance(value, enum.Enum):
        writer = _enum_to_json
    elif writer is None and isinstance(value, pydantic.BaseModel):
        writer = _model_to_json
    if writer is None:
        raise UnsupportedValueError(
            f"{where} holds a {kind.__module__}.{kind.__qualname__}, which cannot be saved and read back equal: "
            "convert it, or leave the field out"
        )
    if depth > _DEEPEST:
        raise UnsupportedValueError(f"{where:.60}… contains itself, or is nested too deeply to be read back")
    return writer(value, where, depth + 1)


def from_json(value: Any, where: str = "value") -> Any:
    """The value that ``to_json`` wrote.

    Raises:
        StateFileError: ``value`` is not what ``to_json`` writes, or needs a class that has not been imported.
    """
    try:
        return _from_json(value, where)
    except RecursionError:
        raise StateFileError(f"{where:.80} is damaged: it is nested too deeply") from None


def _from_json(value: Any, where: str) -> Any:
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
    except (StateFileError, RecursionError):
        raise
    except Exception as error:
        cause = " ".join(str(error).split())  # in one line
        raise StateFileError(f"{where} is damaged: no {tag} can be read from it ({cause})") from error


def _items_to_json(value: list[Any] | tuple[Any, ...], where: str, depth: int) -> list[Any]:
    return [to_json(item, f"{where}[{position}]", depth) for position, item in enumerate(value)]


def _fields_to_json(value: Mapping[str, Any], where: str, depth: int) -> dict[str, Any]:
    return {name: to_json(item, f"{where}.{name}", depth) for name, item in value.items()}


def _tuple_to_json(value: tuple[Any, ...], where: str, depth: int) -> Any:
    return {TAG: "tuple", "items": _items_to_json(value, where, depth)}


def _set_to_json(value: set[Any] | frozenset[Any], where: str, depth: int) -> Any:
    # In a stable order, so that the same set is written alike each time.
    return {TAG: type(value).__name__, "items": sorted((to_json(item, where, depth) for item in value), key=json.dumps)}


def _dict_to_json(value: dict[Any, Any], where: str, depth: int) -> Any:
    if TAG not in value and all(type(key) is str for key in value):
        return _fields_to_json(value, where, depth)
    items = [[to_json(key, where, depth), to_json(item, f"{where}.{key}", depth)] for key, item in value.items()]
    return {TAG: "dict", "items": items}


def _model_to_json(value: pydantic.BaseModel, where: str, depth: int) -> dict[str, Any]:
    kind = type(value)
    fields = {name: getattr(value, name) for name in kind.model_fields}
    written = {
        TAG: "model",
        "class": _class_name(kind, where),
        "fields": _fields_to_json(fields, where, depth),
    }
    for part, values in (("extra", value.model_extra), ("private", value.__pydantic_private__)):
        if values:
            written[part] = _fields_to_json(values, where, depth)
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
    model = kind.model_construct(_fields_set=chosen, **fields, **extra)
    for name, item in data.get("private", {}).items():
        if name not in kind.__private_attributes__:
            raise StateFileError(f"{where} is damaged: {data['class']} has no private attribute {name}")
        setattr(model, name, from_json(item, f"{where}.{name}"))
    return model


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
        # Looked up in the namespaces themselves: asking the module or the class could run code of theirs.
        found = vars(found).get(part) if isinstance(found, (types.ModuleType, type)) else None
    if not isinstance(found, type):
        raise StateFileError(f"{where} needs the class {name}, which {module_name} does not have")
    return found


def _enum_to_json(value: enum.Enum, where: str, depth: int) -> dict[str, Any]:
    kind = type(value)
    written = {TAG: "enum", "class": _class_name(kind, where)}
    if kind.__members__.get(value.name) is value:
        return {**written, "name": value.name}
    return {**written, "value": to_json(value.value, where, depth)}  # flags that have no common name


def _enum_from_json(data: dict[str, Any], where: str) -> enum.Enum:
    kind = _class(data["class"], where)
    if not issubclass(kind, enum.Enum):
        raise StateFileError(f"{where} names the class {data['class']}, which is no enum")
    return kind[data["name"]] if "name" in data else kind(from_json(data["value"], where))


def _example_to_json(value: dspy.Example, where: str, depth: int) -> dict[str, Any]:
    fields = _fields_to_json(dict(value.items(include_dspy=True)), where, depth)
    written = {TAG: type(value).__name__, "fields": fields}
    with contextlib.suppress(ValueError, AttributeError):  # nobody said which fields are inputs
        written["inputs"] = sorted(value.inputs().keys())
    return written


def _example_from_json(kind: type[dspy.Example]) -> _Reader:
    def read(data: dict[str, Any], where: str) -> dspy.Example:
        example = kind({name: from_json(item, f"{where}.{name}") for name, item in data["fields"].items()})
        return example.with_inputs(*data["inputs"]) if "inputs" in data else example

    return read


def _time_to_json(value: datetime.datetime | datetime.time, where: str, _depth: int) -> dict[str, Any]:
    """A point in time with its zone, where that has a name, and with which of two equal hours is meant."""
    kind = type(value)
    zone = value.tzinfo.key if isinstance(value.tzinfo, ZoneInfo) else None
    text = (value.replace(tzinfo=None, fold=0) if zone else value.replace(fold=0)).isoformat()
    written: dict[str, Any] = {TAG: kind.__name__, "value": text}
    if zone:
        written["zone"] = zone
    if value.fold:
        written["fold"] = 1
    if not zone and _time_from_json(kind, written) != value:
        raise UnsupportedValueError(
            f"{where} holds a time whose zone cannot be saved and read back equal: use zoneinfo.ZoneInfo, or UTC"
        )
    return written


def _time_from_json(kind: type[datetime.datetime | datetime.time], data: dict[str, Any]) -> Any:
    moment = kind.fromisoformat(data["value"]).replace(fold=data.get("fold", 0))
    return moment.replace(tzinfo=ZoneInfo(data["zone"])) if "zone" in data else moment


def _timedelta(text: str) -> datetime.timedelta:
    days, seconds, microseconds = (int(part) for part in text.split(","))
    return datetime.timedelta(days, seconds, microseconds)


_SCALARS: Mapping[type, tuple[Callable[[Any], str], Callable[[str], Any]]] = {
    bytes: (lambda value: base64.b64encode(value).decode(), lambda text: base64.b64decode(text, validate=True)),
    complex: (str, complex),
    decimal.Decimal: (str, decimal.Decimal),
    datetime.date: (datetime.date.isoformat, datetime.date.fromisoformat),
    datetime.timedelta: (lambda value: f"{value.days},{value.seconds},{value.microseconds}", _timedelta),
    uuid.UUID: (str, uuid.UUID),
}


def _scalar_writer(kind: type, write: Callable[[Any], str]) -> _Writer:
    return lambda value, where, depth: {TAG: kind.__name__, "value": write(value)}


def _scalar_reader(read: Callable[[str], Any]) -> _Reader:
    return lambda data, where: read(data["value"])


def _items(data: dict[str, Any], where: str) -> list[Any]:
    return [from_json(item, where) for item in data["items"]]


_READERS: Mapping[str, _Reader] = {
    "float": lambda data, where: float(data["value"]),
    "tuple": lambda data, where: tuple(_items(data, where)),
    "set": lambda data, where: set(_items(data, where)),
    "frozenset": lambda data, where: frozenset(_items(data, where)),
    "dict": lambda data, where: {from_json(key, where): from_json(item, where) for key, item in data["items"]},
    "enum": _enum_from_json,
    "model": _model_from_json,
    "int": _scalar_reader(lambda text: int(text, 16)),
    "datetime": lambda data, where: _time_from_json(datetime.datetime, data),
    "time": lambda data, where: _time_from_json(datetime.time, data),
    "Example": _example_from_json(dspy.Example),
    "Prediction": _example_from_json(dspy.Prediction),
    **{kind.__name__: _scalar_reader(read) for kind, (_, read) in _SCALARS.items()},
}

_PLAIN = frozenset({str, bool, type(None)})
_WRITERS: Mapping[type, _Writer] = {
    int: lambda value, where, depth: value if value.bit_length() < _LONG_INT else {TAG: "int", "value": hex(value)},
    float: lambda value, where, depth: value if math.isfinite(value) else {TAG: "float", "value": repr(value)},
    list: _items_to_json,
    dict: _dict_to_json,
    tuple: _tuple_to_json,
    set: _set_to_json,
    frozenset: _set_to_json,
    datetime.datetime: _time_to_json,
    datetime.time: _time_to_json,
    dspy.Example: _example_to_json,
    dspy.Prediction: _example_to_json,
    **{kind: _scalar_writer(kind, write) for kind, (write, _) in _SCALARS.items()},
}
