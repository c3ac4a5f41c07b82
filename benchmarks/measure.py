"""Time and memory of a call."""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Callable
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
