"""From the outbox to the sinks: each delivery is made when it is due, and again until that has worked."""

from __future__ import annotations

import asyncio
import logging
import random as random_numbers
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Self

from dspy_session.conversation.clock import Clock, SystemClock
from dspy_session.conversation.draining import Draining, Timing
from dspy_session.conversation.protocols import DurableSink
from dspy_session.errors import ConfigurationError
from dspy_session.stores.outgoing import Outbox

logger = logging.getLogger(__name__)

_CLOSE_SECONDS = 1.0
"""How long closing waits, beyond its grace, for sinks to let go."""


class Dispatcher:
    """Delivers what waits in an outbox, from ``open`` until ``aclose``.

    Each sink is served on its own, so that none waits for another one; a sink's conversations are served side by side,
    in order in each. Several dispatchers, in several processes, may serve the same outbox. A sink that fails again and
    again is left alone for a while, then tried with one batch.

    Args:
        outbox: Where deliveries wait.
        sinks: Who takes them, each with a name of its own. They are opened and closed along with the dispatcher.
        clock: Tells the time.
        random: Spreads retries: returns numbers from 0 up to 1.
        poll: Seconds after which the outbox is looked at again when nobody called ``wake``: others may write to it.

    Raises:
        ConfigurationError: Two sinks have the same name.
    """

    def __init__(
        self,
        outbox: Outbox,
        sinks: Sequence[DurableSink],
        *,
        clock: Clock | None = None,
        random: Callable[[], float] = random_numbers.random,
        poll: float = 2.0,
    ) -> None:
        for name, count in Counter(sink.name for sink in sinks).items():
            if count > 1:
                raise ConfigurationError(f"{count} sinks have the name {name!r}: give each a name of its own")
        self._outbox = outbox
        self._sinks = tuple(sinks)
        self._timing = Timing(clock if clock is not None else SystemClock(), random, poll)
        self._running: dict[asyncio.Task[None], Draining] = {}

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def open(self) -> None:
        """Begin to deliver, in the event loop that runs now. The outbox's store must be open."""
        if self._running:
            return
        for sink in self._sinks:
            draining = Draining(self._outbox, sink, self._timing)
            self._running[asyncio.create_task(draining.run(), name=f"drain {sink.name}")] = draining

    def wake(self) -> None:
        """Look at the outbox at once: something was written to it."""
        for draining in self._running.values():
            draining.wake()

    async def aclose(self, grace: float = 5.0) -> None:
        """Deliver what is due within ``grace`` seconds, then stop and close the sinks. The rest stays in the outbox.

        Args:
            grace: Seconds that this may take.
        """
        deadline = asyncio.get_running_loop().time() + grace
        for draining in self._running.values():
            draining.finish(grace)
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)
            self._running.clear()
        left = max(deadline - asyncio.get_running_loop().time(), 0.0)
        await asyncio.gather(*(_close(sink, left) for sink in self._sinks))


async def _close(sink: DurableSink, grace: float) -> None:
    try:
        async with asyncio.timeout(grace + _CLOSE_SECONDS):
            await sink.aclose(grace)
    except Exception:  # one that cannot be closed must not keep the others open
        logger.warning("sink %s: failed to close", sink.name, exc_info=True)
