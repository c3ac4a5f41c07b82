"""What the fake Slack is told to get wrong."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Fault:
    """How one call goes wrong.

    Args:
        status: HTTP status of the answer; None cuts the connection without one.
        body: A Web API answer, or the HTML of a broken proxy.
        headers: Headers of the answer.
        after: Whether what was asked is done first, and only the answer is lost.
        until: The call is held until this is set, then goes on as if nothing were wrong.
    """

    status: int | None = 200
    body: dict[str, Any] | str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    after: bool = False
    until: asyncio.Event | None = None


def rate_limited(retry_after: int = 0) -> Fault:
    """Too many calls; ``retry_after`` in seconds."""
    return Fault(429, {"ok": False, "error": "ratelimited"}, {"Retry-After": str(retry_after)})


def server_error(status: int = 503) -> Fault:
    """Slack itself is broken."""
    return Fault(status, "<html><body>upstream error</body></html>")


def refused(error: str, **details: Any) -> Fault:
    """Slack answers, and says no."""
    return Fault(200, {"ok": False, "error": error, **details})


def cut(*, after: bool = False) -> Fault:
    """The connection breaks, before or after the call took effect."""
    return Fault(None, after=after)


def held(until: asyncio.Event) -> Fault:
    """Slack is slow."""
    return Fault(until=until)


class Faults:
    """The faults that are still to strike, by method, oldest first."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, deque[Fault]] = defaultdict(deque)

    def add(self, method: str, fault: Fault, times: int) -> None:
        self._waiting[method].extend([fault] * times)

    def take(self, method: str) -> Fault | None:
        waiting = self._waiting[method]
        return waiting.popleft() if waiting else None
