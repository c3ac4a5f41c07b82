"""Snapshots of values: what a turn keeps must not change when the caller's own list or dict does."""

from __future__ import annotations

import copy
import datetime
import decimal
import enum
import logging
import uuid
from collections.abc import Iterable
from typing import Any

logger = logging.getLogger(__name__)

_ATOMIC: frozenset[type] = frozenset(
    {
        str,
        int,
        float,
        bool,
        bytes,
        complex,
        type(None),
        decimal.Decimal,
        datetime.datetime,
        datetime.date,
        datetime.time,
        datetime.timedelta,
        uuid.UUID,
    }
)


def all_atomic(values: Iterable[Any]) -> bool:
    """True when all of ``values`` are of types that can be shared."""
    return _ATOMIC.issuperset(map(type, values))


def snapshot(value: Any) -> Any:
    """A copy of ``value`` that shares nothing that can change with it.

    A value that cannot be copied (an open file, a lock) is kept as it is, and a warning says so.
    """
    if type(value) in _ATOMIC:
        return value
    try:
        return _copied(value)
    except RecursionError:  # it contains itself, or is nested beyond all measure
        return _deepcopied(value)


def _copied(value: Any) -> Any:
    kind = type(value)
    if kind in _ATOMIC:
        return value
    if kind is list:
        return [_copied(item) for item in value]
    if kind is dict:
        return {_copied(key): _copied(item) for key, item in value.items()}
    if kind is tuple:
        return tuple([_copied(item) for item in value])
    if isinstance(value, (enum.Enum, type)):
        return value
    return _deepcopied(value)


def _deepcopied(value: Any) -> Any:
    try:
        return copy.deepcopy(value)
    except Exception:  # noqa: BLE001  # whatever a class of somebody else's raises when it is copied
        logger.warning(
            "A value of type %s cannot be copied; the turn keeps the object itself.", type(value).__qualname__
        )
        return value
