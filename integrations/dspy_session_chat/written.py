"""What the bot wrote down, read back as if it were a stranger's: a store is a file or a server that others get at."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, NoReturn

from dspy_session.errors import SessionError

LONGEST = 4_000_000
"""Characters that are read; an event of a platform has some thousands."""

_KINDS: Mapping[Any, type] = {"str": str, "int": int, "bool": bool, "dict[str, Any]": dict}
"""What stands in a dataclass's field by its annotation, of those that JSON has."""


def read_object(text: str, what: str) -> dict[str, Any]:
    """The JSON object that ``text`` is.

    Args:
        text: What was written.
        what: What it should be, for the error: ``"a waiting event"``.

    Raises:
        SessionError: It is none, is too long or too deep, or has a key twice.
    """
    if len(text) > LONGEST:
        raise SessionError(f"{what} is damaged: it is longer than {LONGEST:,} characters")
    try:
        read = json.loads(text, object_pairs_hook=_once_each, parse_constant=_no_number)
    except RecursionError:
        raise SessionError(f"{what} is damaged: it is nested too deeply") from None
    except ValueError as error:
        raise SessionError(f"{what} is damaged: {error}") from error
    if not isinstance(read, dict):
        raise SessionError(f"{what} is damaged: it is no JSON object")
    return read


def known_fields(kind: type, written: object) -> dict[str, Any]:
    """The values of a dataclass's fields in ``written``; what a newer version wrote besides is left out.

    Args:
        kind: The dataclass.
        written: A mapping that was read from JSON.

    Raises:
        SessionError: It is no mapping, or a field holds something else than text, a number or whatever it is for.
    """
    name = kind.__name__.lower()
    if not isinstance(written, Mapping):
        raise SessionError(f"what was written of {name} is damaged: it is no JSON object")
    values = {}
    for each in fields(kind):
        if each.name in written:
            value, expected = written[each.name], _KINDS.get(each.type)
            if expected is not None and type(value) is not expected:
                raise SessionError(
                    f"what was written of {name} is damaged: {each.name} must be {expected.__name__}, "
                    f"not {type(value).__name__}"
                )
            values[each.name] = value
    return values


def values_of(written: Any) -> dict[str, Any]:
    """The values of a dataclass's fields by name, as they are: ``dataclasses.asdict`` copies all that is in them."""
    return {each.name: getattr(written, each.name) for each in fields(written)}


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) < len(pairs):
        raise ValueError("a key stands in it twice")
    return read


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")
