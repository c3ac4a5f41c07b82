"""Time and memory of a call, and bytes written."""

from __future__ import annotations

import asyncio
import gc
import time
import tracemalloc
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any


def seconds(call: Callable[[], Any], times: int) -> float:
    """Seconds that one call takes, as the mean of ``times`` in a row, without garbage collection meanwhile."""
    gc.disable()
    try:
        started = time.perf_counter()
        for _ in range(times):
            call()
        return (time.perf_counter() - started) / times
    finally:
        gc.enable()


def bytes_kept(make: Callable[[], Any]) -> int:
    """Bytes of Python objects that ``make`` leaves behind, what it returns among them."""
    gc.collect()
    tracemalloc.start()
    try:
        kept = make()
        gc.collect()
        size, _ = tracemalloc.get_traced_memory()
        del kept
        return size
    finally:
        tracemalloc.stop()


@lru_cache
def loop() -> asyncio.Runner:
    """An event loop that stays, as do the stores that are opened in it."""
    return asyncio.Runner()


def bytes_written() -> int:
    """Bytes that this process has handed to the system, whatever the file system."""
    text = Path("/proc/self/io").read_text(encoding="ascii")
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith("wchar")))
