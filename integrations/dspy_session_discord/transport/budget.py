"""How many edits Discord still takes, by what it says in the headers of its answers."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping

REMEMBERED = 1000
"""Channels whose edits are counted."""

KEPT = 2
"""Edits that are left for the end of an answer. discord.py gives the request that takes the last one back only when
there are more, so that one stays over."""

_EDIT = re.compile(r"/channels/(\d+)/messages/\d+")


class Budget:
    """Knows in which channels edits are few."""

    def __init__(self) -> None:
        self._scarce: OrderedDict[int, float] = OrderedDict()

    def answered(self, method: str, path: str, headers: Mapping[str, str], now: float) -> None:
        """Take note of what an answer of Discord's says that came at ``now``, a time in seconds."""
        found = _EDIT.search(path) if method == "PATCH" else None
        if found is None:
            return
        try:
            left, seconds = int(headers["X-RateLimit-Remaining"]), float(headers["X-RateLimit-Reset-After"])
        except (KeyError, ValueError):
            return
        channel = int(found[1])
        self._scarce.pop(channel, None)
        if left <= KEPT:
            self._scarce[channel] = now + seconds
            if len(self._scarce) > REMEMBERED:
                self._scarce.popitem(last=False)

    def is_scarce(self, channel: int, now: float) -> bool:
        """Whether what is left in ``channel`` is for the end of an answer."""
        return self._scarce.get(channel, now) > now
