"""A thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Callable, Coroutine
from typing import Any


class LoopThread:
    """Runs one coroutine to its end in a thread of its own, so that it lives on where no event loop does.

    The thread is a daemon: whoever starts it sees to it that the program doesn't end too early.

    Args:
        name: The thread's name.
        main: The coroutine to run.
    """

    def __init__(self, name: str, main: Coroutine[Any, Any, None]) -> None:
        self._loop = asyncio.new_event_loop()
        self._task = self._loop.create_task(main)
        self._ended: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._ended.set_running_or_notify_cancel()  # from here on no waiter that gives up can cancel it
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def call(self, function: Callable[..., object], *args: object) -> None:
        """Call ``function`` in the thread's loop, soon; nothing happens if the coroutine has ended."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(function, *args)

    def cancel(self) -> None:
        """Cancel the coroutine."""
        self.call(self._task.cancel)

    def join(self, seconds: float) -> bool:
        """Wait for the end, for at most ``seconds``. Returns whether it came."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    async def ajoin(self, seconds: float) -> bool:
        """``join`` without blocking the running loop."""
        ended = asyncio.wrap_future(self._ended)
        try:
            await asyncio.wait([ended], timeout=seconds)
        finally:
            ended.cancel()  # else the thread would later report to a loop that may be closed by then
        return self._ended.done() and self.join(1.0)  # the thread has nothing left to do but to return

    def _run(self) -> None:
        try:
            with contextlib.suppress(asyncio.CancelledError):
                self._loop.run_until_complete(self._task)
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()
            self._ended.set_result(None)
