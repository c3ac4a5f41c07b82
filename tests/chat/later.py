"""Time that goes by at once."""

from __future__ import annotations

import asyncio
import time

import pytest


def later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let ``seconds`` have gone by: everything that waits no longer than that is due."""
    now = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: now() + seconds)
    asyncio.get_running_loop().call_soon_threadsafe(lambda: None)  # the loop looks at the clock again
