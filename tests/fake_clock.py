"""A clock that stands still until it is moved."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

_PATIENCE = 60.0  # a guard: a busy machine is no bug


class FakeClock:
    """Monotonic seconds from 0; the time of day moves along with them, from now.

    Some tasks or threads wait by it and another one moves it, so every method may be called from any. ``waits`` counts
    how often anyone began to wait.

    Args:
        automatic: Move on by itself, at once, to whatever is waited for; the time of day then stays what it is, so
            that receivers go on believing the signatures.
    """

    def __init__(self, *, automatic: bool = False) -> None:
        self.waits = 0
        self._automatic = automatic
        self._start = datetime.now(UTC).replace(microsecond=0)  # sums of it and whole seconds are exact
        self._seconds = 0.0
        self._sleepers: dict[object, tuple[float | None, asyncio.AbstractEventLoop, asyncio.Event]] = {}
        self._changed = threading.Condition()

    def now(self) -> datetime:
        return self._start if self._automatic else self._start + timedelta(seconds=self._seconds)

    def monotonic(self) -> float:
        return self._seconds

    def time(self) -> float:
        """Seconds since 1970, UTC: what stores are given."""
        return self._start.timestamp() + self._seconds

    async def wait(self, wake: asyncio.Event, seconds: float | None) -> None:
        me = object()
        with self._changed:
            self.waits += 1
            if self._automatic and seconds is not None:
                self._seconds += seconds
                wake.set()
            until = None if seconds is None else self._seconds + seconds
            self._sleepers[me] = (until, asyncio.get_running_loop(), wake)
            self._changed.notify_all()
        try:
            await wake.wait()
        finally:
            with self._changed:
                self._sleepers.pop(me, None)

    async def until(self, condition: Callable[[], object]) -> None:
        """Return when ``condition`` holds; it is looked at whenever someone begins to wait by this clock."""

        def wait() -> None:
            with self._changed:
                assert self._changed.wait_for(condition, _PATIENCE), "it never came true"

        await asyncio.to_thread(wait)

    async def asleep(self) -> float:
        """The seconds that are still to wait, as soon as someone waits for a certain time; the least, if many do."""
        await self.until(self._least)
        least = self._least()
        assert least
        return least[0] - self._seconds

    async def asleep_for(self, seconds: float) -> None:
        """Return as soon as the next to be woken, of all that wait, has ``seconds`` to wait.

        What is being delivered is waited for: at its end a dispatcher looks once more when the next is due, and would
        not see that this clock moves between the look and the wait.
        """

        def so_long() -> bool:
            least = self._least()
            return bool(least) and abs(least[0] - self._seconds - seconds) < 0.001  # a store counts from 1970

        await self.until(so_long)
        if delivering := [task for task in asyncio.all_tasks() if task.get_name().startswith("deliver to ")]:
            await asyncio.wait(delivering)
        await asyncio.sleep(0)  # that one has ended is told in the next round of the loop
        await self.until(so_long)

    def advance(self, seconds: float) -> None:
        """Move on by ``seconds``, and wake whoever has waited long enough."""
        with self._changed:
            self._seconds += seconds
            for me, (due, loop, wake) in list(self._sleepers.items()):
                if due is not None and due <= self._seconds:
                    del self._sleepers[me]
                    loop.call_soon_threadsafe(wake.set)

    def _least(self) -> list[float]:
        waits = [due for due, _, wake in self._sleepers.values() if due is not None and not wake.is_set()]
        return sorted(waits)[:1]
