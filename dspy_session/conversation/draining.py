"""One sink's deliveries: claimed, made and settled, several conversations side by side."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from dspy_session.conversation.breaker import Breaker
from dspy_session.conversation.clock import Clock
from dspy_session.conversation.protocols import DurableSink
from dspy_session.conversation.schedule import after_failure
from dspy_session.errors import SessionError
from dspy_session.stores.outgoing import Batch, Outbox, Settlement
from dspy_session.stores.sealing import is_sealed

logger = logging.getLogger(__name__)

LEASE_MARGIN = 10.0
"""Seconds that a batch is ours beyond what its delivery may take: for settling it, on a machine that is busy."""

SEALED_SECONDS = 300.0
"""Until a delivery is looked at again that is encrypted, where the store was opened without keys."""

SHORTEST_WAIT = 0.05
"""Seconds between two looks at a store that says that something is due and then gives out nothing."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Time and chance.

    Args:
        clock: Tells the time.
        random: Makes the jitter: numbers from 0 up to 1.
        poll: Seconds after which the outbox is looked at again, whatever is known of it.
    """

    clock: Clock
    random: Callable[[], float]
    poll: float


class Draining:
    """Empties the lanes of one sink for as long as ``run`` runs.

    Args:
        outbox: Where deliveries wait.
        sink: Who takes them.
        timing: Time and chance.
    """

    def __init__(self, outbox: Outbox, sink: DurableSink, timing: Timing) -> None:
        self.sink = sink
        self._outbox = outbox
        self._timing = timing
        self._clock = timing.clock
        self._wake = asyncio.Event()
        self._under_way: set[asyncio.Task[None]] = set()
        self._breaker = Breaker()
        self._ready = False
        self._failing = False
        self._troubled = False
        self._leave_at: float | None = None

    def wake(self) -> None:
        """Look at the outbox again."""
        self._wake.set()

    def finish(self, grace: float) -> None:
        """Return from ``run`` as soon as nothing can be delivered any more within ``grace`` seconds."""
        self._leave_at = self._clock.monotonic() + grace
        self._wake.set()

    async def run(self) -> None:
        """Deliver until ``finish`` was called. When cancelled, what is under way stays in its lane, claimed."""
        try:
            while True:
                self._wake.clear()
                due = await self._start_what_is_due()
                if self._finished(due):
                    return
                await self._clock.wait(self._wake, self._idle(due))
        finally:
            for attempt in self._under_way:
                attempt.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)

    # --- what is due ----------------------------------------------------------------------------------------------

    async def _start_what_is_due(self) -> float | None:
        """Claim and start what may be started; seconds until there may be more, None when only a wake-up can tell."""
        try:
            if not self._ready:
                await self.sink.aopen()
                self._ready = True
            while self._has_room():
                limit, lease = max(self.sink.batch, 1), self.sink.timeout + LEASE_MARGIN
                known = self._breaker  # before asking: the sink may be found down while the store answers
                batch = await self._outbox.claim(self.sink.name, limit, lease)
                if batch is None:
                    due = await self._outbox.due(self.sink.name)
                    break
                self._start(batch, known)
            else:
                due = None
        except Exception as error:  # noqa: BLE001 (whatever it is, the deliveries are still there: look again later)
            self._complain(error)
            return self._timing.poll
        if self._troubled:
            logger.info("sink %s: can be served again", self.sink.name)
            self._troubled = False
        return due

    def _has_room(self) -> bool:
        return len(self._under_way) < self._breaker.at_once(max(self.sink.concurrency, 1))

    def _finished(self, due: float | None) -> bool:
        if self._leave_at is None or self._under_way:
            return False
        return due is None or self._clock.monotonic() + due > self._leave_at

    def _idle(self, due: float | None) -> float | None:
        if not self._has_room():
            return None  # whatever ends next wakes us
        poll = self._timing.poll
        return poll if due is None else min(max(due, SHORTEST_WAIT), poll)

    def _complain(self, error: Exception) -> None:
        # The first time is news; that it goes on is not. What our own errors say is enough.
        level = logging.INFO if self._troubled else logging.WARNING
        trace = not self._troubled and not isinstance(error, SessionError)
        logger.log(level, "sink %s: cannot be served now: %s", self.sink.name, error, exc_info=trace)
        self._troubled = True

    # --- one batch ------------------------------------------------------------------------------------------------

    def _start(self, batch: Batch, known: Breaker) -> None:
        attempt = asyncio.create_task(self._attempt(batch, known), name=f"deliver to {self.sink.name}")
        self._under_way.add(attempt)
        attempt.add_done_callback(self._end)

    def _end(self, attempt: asyncio.Task[None]) -> None:
        self._under_way.discard(attempt)
        self._wake.set()

    async def _attempt(self, batch: Batch, known: Breaker) -> None:
        settlement = await self._deliver(batch)
        if settlement.outcome in ("retry", "parked"):
            tripped, self._breaker = self._breaker, self._breaker.failed(known)
            if self._breaker.holds > tripped.holds:
                settlement = replace(settlement, hold=max(settlement.hold, self._breaker.hold))
        else:
            self._breaker = Breaker()
        try:
            ours = await self._outbox.settle(batch, settlement)
        except Exception as error:  # noqa: BLE001 (the lane's lease ends, and the batch comes again with the same ids)
            self._complain(error)
            return
        self._report(batch, settlement)
        if not ours:
            logger.warning(
                "sink %s: a delivery in %s took longer than it was claimed for, and may be made twice",
                *(self.sink.name, batch.key),
            )

    async def _deliver(self, batch: Batch) -> Settlement:
        if any(is_sealed(delivery.body) for delivery in batch.deliveries):
            return Settlement("retry", SEALED_SECONDS, reason="it is encrypted: give the store's keys (keys=…)")
        try:
            async with asyncio.timeout(self.sink.timeout):
                return _settlement(await self.sink.deliver(batch))
        except TimeoutError:
            reason = "timed out"
        except Exception as error:  # a mistake in the sink must not keep it from being tried again
            reason = type(error).__name__
            logger.warning("sink %s: failed to deliver", self.sink.name, exc_info=True)
        return after_failure(batch.attempt, reason, jitter=self._timing.random())

    def _report(self, batch: Batch, settlement: Settlement) -> None:
        name, first = self.sink.name, batch.deliveries[0].id if batch.deliveries else ""
        if settlement.outcome == "delivered":
            if self._failing:
                logger.info("sink %s: delivers again", name)
            self._failing = False
        elif settlement.outcome == "retry":
            logger.log(
                logging.INFO if self._failing else logging.WARNING,
                "sink %s: %s (attempt %d, %s in %s), next in %.0f s",
                *(name, settlement.reason, batch.attempt, first, batch.key, max(settlement.delay, settlement.hold)),
            )
            self._failing = True
        elif settlement.outcome == "parked":
            logger.error(
                "sink %s: %s; %s is parked after %d attempts, from %s on",
                *(name, settlement.reason, batch.key, batch.attempt, first),
            )
        else:
            logger.error("sink %s: %s, so it is disabled; all that waits for it is dropped", name, settlement.reason)


def _settlement(given: object) -> Settlement:
    if not isinstance(given, Settlement):
        raise TypeError(f"deliver must return a Settlement, not {type(given).__name__}")
    return given
