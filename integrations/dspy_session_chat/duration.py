"""How long something is kept, as people write it."""

from __future__ import annotations

import re

from dspy_session.errors import ConfigurationError

_UNITS = {"m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}


def seconds_of(text: str) -> float:
    """The seconds of ``"90d"``, ``"12h"``, ``"30m"`` or ``"2w"``.

    Raises:
        ConfigurationError: It is written otherwise.
    """
    found = re.fullmatch(r"\s*(\d+)\s*([mhdw])\s*", text) if isinstance(text, str) else None
    if found is None or not int(found[1]):
        raise ConfigurationError(f"{text!r} is no time: write a number and m, h, d or w, such as 90d")
    return int(found[1]) * _UNITS[found[2]]
