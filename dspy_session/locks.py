"""A lock for one conversation: fair, and the same for tasks, threads and event loops."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from dspy_session.errors import SessionError


class _Waiter:
    """One call in the queue. ``grant`` may come from any thread."""

    __slots__ = ("_event", "_future", "granted", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self.loop = loop
        self.granted = False
        self._future: asyncio.Future[None] | None = None if loop is None else loop.create_future()
        self._event: threading.Event | None = threading.Event() if loop is None else None

    def grant(self) -> bool:
        """Wake the waiter; False if its event loop is gone."""
        if self._event is not None:
            self._event.set()
            return True
        assert self.loop is not None
        try:
            self.loop.call_soon_threadsafe(self._wake)
        except RuntimeError:  # the loop was closed with the waiter still in the queue
            return False
        return True

    def _wake(self) -> None:
        assert self._future is not None
        if not self._future.done():
            self._future.set_result(None)

    def block(self) -> None:
        assert self._event is not None
        self._event.wait()

    async def wait(self) -> None:
        assert self._future is not None
        await self._future


class TurnLock:
    """Admits one call at a time, in order of arrival.

    Holders may be tasks of any event loop and plain threads, mixed. It is not re-entrant: who already holds a
    conversation knows it from its call and does not ask again.
    """

    __slots__ = ("_guard", "_holder_loop", "_locked", "_queue")

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._queue: deque[_Waiter] = deque()
        self._locked = False
        self._holder_loop: asyncio.AbstractEventLoop | None = None

    def locked(self) -> bool:
        """True while a call holds the lock."""
        return self._locked

    def waiting(self) -> int:
        """How many calls wait for the lock."""
        return len(self._queue)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the lock from synchronous code; raises as ``acquire`` does."""
        self.acquire()
        try:
            yield
        finally:
            self.release()

    @asynccontextmanager
    async def ahold(self) -> AsyncIterator[None]:
        """Hold the lock from a task."""
        await self.aacquire()
        try:
            yield
        finally:
            self.release()

    def acquire(self) -> None:
        """Take the lock from synchronous code, when everybody in front has had it.

        Raises:
            SessionError: The wait could never end, because the calls in front run on this thread's own event loop.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        waiter = self._enter(loop, blocks=True)
        if waiter is not None:
            try:
                waiter.block()
            except BaseException:  # KeyboardInterrupt while waiting
                self._leave_queue(waiter)
                raise

    async def aacquire(self) -> None:
        """The same from a task; a cancelled wait leaves the others in order."""
        waiter = self._enter(asyncio.get_running_loop(), blocks=False)
        if waiter is not None:
            try:
                await waiter.wait()
            except BaseException:
                self._leave_queue(waiter)
                raise

    def release(self) -> None:
        """Give the lock to whoever came next."""
        with self._guard:
            while self._queue:
                waiter = self._queue.popleft()
                self._holder_loop = waiter.loop
                waiter.granted = waiter.grant()
                if waiter.granted:
                    return
            self._locked = False
            self._holder_loop = None

    def _enter(self, loop: asyncio.AbstractEventLoop | None, *, blocks: bool) -> _Waiter | None:
        """None when the lock was free and is ours now, else our place in the queue.

        Args:
            loop: The event loop that runs here; None when there is none.
            blocks: True when the wait stops this thread, and the loop with it.
        """
        with self._guard:
            if not self._locked:
                self._locked = True
                self._holder_loop = loop
                return None
            if blocks and loop is not None:
                self._refuse_endless_wait(loop)
            waiter = _Waiter(None if blocks else loop)
            self._queue.append(waiter)
            return waiter

    def _refuse_endless_wait(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._holder_loop is loop or any(ahead.loop is loop for ahead in self._queue):
            raise SessionError(
                "This conversation is busy with a call on the same event loop, and a synchronous call here would "
                "wait for ever: use `await session.acall(...)`."
            )

    def _leave_queue(self, waiter: _Waiter) -> None:
        """A waiter gives up: out of the queue, or, when the lock has just been granted to it, on to the next."""
        with self._guard:
            if waiter in self._queue:
                self._queue.remove(waiter)
            if not waiter.granted:
                return
        self.release()
