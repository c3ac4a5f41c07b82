"""What the fake Discord is told to get wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

When = Literal["before", "after"]
"""Whether a fault strikes before the request is handled, or after it: what was asked is done, the answer is lost."""


@dataclass
class Fault:
    """How the next ``times`` requests that match go wrong.

    Args:
        method: ``"POST"``, or ``"*"``.
        path: Below ``/api/v10``, with ``*`` for ids: ``"/channels/*/messages"``.
        status: Status of the refusal; None cuts the connection, and 0 leaves it as it is: no answer comes.
        body: What the refusal says: JSON, or a text (Cloudflare answers with HTML).
        headers: Headers of the refusal.
        when: Whether the request takes effect first.
        times: For how many requests.
        passing: How many requests that match go well before.
    """

    method: str
    path: str
    status: int | None
    body: dict[str, Any] | str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    when: When = "before"
    times: int = 1
    passing: int = 0

    def strikes(self, method: str, path: str) -> bool:
        return self.times > 0 and self.method in (method, "*") and fnmatchcase(path, self.path)


def turned_away(method: str, path: str, *, retry_after: float, times: int = 1) -> Fault:
    """What Cloudflare, in front of Discord, answers an address from which too many requests came."""
    page = "<!doctype html>\n<html><title>Access denied | discord.com</title>\n<h1>Error 1015</h1></html>"
    return Fault(method, path, 429, page, {"Retry-After": str(retry_after)}, times=times)


class Faults:
    """The faults that are still to strike, oldest first."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []
        self.over = asyncio.Event()
        """Set when nobody waits any more for answers that do not come."""

    def add(self, fault: Fault) -> None:
        self._waiting.append(fault)

    def take(self, method: str, path: str) -> Fault | None:
        for fault in self._waiting:
            if not fault.strikes(method, path):
                continue
            if fault.passing:
                fault.passing -= 1
            else:
                fault.times -= 1
                return fault
        return None
