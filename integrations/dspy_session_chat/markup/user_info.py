"""A user's name before the host of an address: it may read like the host itself."""

from __future__ import annotations

import re
from collections.abc import Iterator

USER_INFO = re.compile(r"(https?://)[^\s/?#<>\[\]()`\\]*@", re.IGNORECASE)
"""An address with one, up to the host."""

_AUTHORITY = re.compile(r"[^\s/?#]{0,2000}")


def ats(text: str, place: int) -> Iterator[int]:
    """The places of each @ in what may be the host of an address, from where that begins."""
    authority = _AUTHORITY.match(text, place)
    return (place + at.start() for at in re.finditer("@", authority.group() if authority else ""))
