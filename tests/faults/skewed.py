"""A clock that a test may set wrong: what ``time.time`` tells once this is imported, before all else."""

from __future__ import annotations

import time

_right = time.time
_shift = 0.0


def shift(seconds: float) -> None:
    """Tell the time so many seconds late or early from now on."""
    global _shift  # noqa: PLW0603  # as is the machine's clock
    _shift = seconds


def _wrong() -> float:
    return _right() + _shift


time.time = _wrong
