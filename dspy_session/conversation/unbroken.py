"""What is finished once it has begun, whoever is cancelled meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def unbroken(doing: Coroutine[Any, Any, T]) -> T:
    """Do something to its end. Who is cancelled meanwhile is cancelled after it, and knows what became of it."""
    task = asyncio.ensure_future(doing)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # nobody is there any more to hear of it
        raise
