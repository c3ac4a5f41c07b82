"""Synchronous work away from the event loop, and asynchronous work from synchronous code."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import anyio.to_thread

Result = TypeVar("Result")


async def arun_in_thread(work: Callable[[], Result]) -> Result:
    """Run ``work`` in a thread, under this task's context, and wait for it.

    Not in the loop's default executor: DSPy sends every LM call through that one, and a few slow programs would fill
    it. A cancelled wait ends at once; the thread goes on to its end, and what it returns is dropped.
    """
    # DSPy streams from threads by way of AnyIO, which serves only threads of its own.
    return await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1))


def run_in_thread(work: Callable[[], Result]) -> Result:
    """Run ``work`` in a thread of its own, where no event loop runs yet, and block until it is done."""
    outcome: list[Any] = []
    context = contextvars.copy_context()

    def run() -> None:
        try:
            outcome.extend((context.run(work), None))
        except BaseException as error:  # noqa: BLE001  # raised again where it is waited for
            outcome.extend((None, error))

    thread = threading.Thread(target=run, name="dspy-session-hook")
    thread.start()
    thread.join()
    result, error = outcome
    if error is not None:
        raise error
    return result  # type: ignore[no-any-return]


def run_coroutine(value: Any) -> Any:
    """What an awaitable comes to, waited for from synchronous code; anything else as it is.

    It runs in a thread with an event loop of its own, because this thread may have a running loop that must not wait.
    """
    if not inspect.isawaitable(value):
        return value

    async def awaited() -> Any:
        return await value

    return run_in_thread(lambda: asyncio.run(awaited()))
