"""What is on its way from memory: the lanes, and the thread that empties them."""

from __future__ import annotations

import atexit
import logging
import threading
from collections.abc import Callable

from dspy_session.conversation.clock import Clock
from dspy_session_webhook.background import LoopThread
from dspy_session_webhook.body import Message
from dspy_session_webhook.courier import Courier
from dspy_session_webhook.lanes import Lanes
from dspy_session_webhook.route import Route

logger = logging.getLogger(__name__)

GRACE = 5.0
"""Seconds that closing may take when nobody says otherwise."""

_CANCEL_SECONDS = 1.0
"""How long closing waits for what it has cancelled."""


class Outgoing:
    """Messages that nobody but this program keeps. Every method may be called from any thread.

    The thread starts with the first message; when the program ends, closing is done by itself.

    Args:
        route: How to reach the endpoint.
        capacity: Bytes of messages that may wait; what comes on top is logged and lost.
        clock: Tells the time.
        random: Makes the jitter: numbers from 0 up to 1.
    """

    def __init__(self, route: Route, capacity: int, clock: Clock, random: Callable[[], float]) -> None:
        self._origin = route.endpoint.origin
        self._clock = clock
        self._lanes = Lanes(capacity)
        self._courier = Courier(self._lanes, route, clock, random)
        self._thread: LoopThread | None = None
        self._closed = False
        self._lost = 0
        self._lock = threading.Lock()

    @property
    def waiting(self) -> int:
        """Messages that are not delivered yet."""
        return self._lanes.waiting

    @property
    def parked(self) -> tuple[str, ...]:
        """Conversations that stand still."""
        return self._lanes.parked

    def take(self, message: Message) -> None:
        """Take a message over, and return at once."""
        with self._lock:
            refused = "it is closed" if self._closed else self._lanes.put(message, self._clock.monotonic())
            if not refused:
                self._start_or_wake()
                return
            self._lost += 1
            logger.warning(
                "webhook to %s: turn %s dropped, %s; %d dropped so far",
                *(self._origin, message.id, refused, self._lost),
            )

    def resume(self) -> None:
        """Start parked conversations again, each from the message that it stopped at."""
        with self._lock:
            self._lanes.resume(self._clock.monotonic())
            if self._thread is not None:
                self._thread.call(self._courier.wake)

    def close(self, grace: float = GRACE) -> None:
        """Deliver what is due within ``grace`` seconds, then stop."""
        thread = self._begin_closing(grace)
        if thread is not None and not thread.join(grace):
            thread.cancel()
            thread.join(_CANCEL_SECONDS)
        self._end_closing()

    async def aclose(self, grace: float = GRACE) -> None:
        """``close`` without blocking the running event loop."""
        thread = self._begin_closing(grace)
        if thread is not None and not await thread.ajoin(grace):
            thread.cancel()
            await thread.ajoin(_CANCEL_SECONDS)
        self._end_closing()

    def _start_or_wake(self) -> None:
        if self._thread is not None:
            self._thread.call(self._courier.wake)
            return
        self._thread = LoopThread(f"webhook to {self._origin}", self._courier.run())
        atexit.register(self.close)

    def _begin_closing(self, grace: float) -> LoopThread | None:
        with self._lock:
            if not self._closed and self._thread is not None:
                self._thread.call(self._courier.finish, grace)
            self._closed = True
            return self._thread

    def _end_closing(self) -> None:
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is None:
            return
        atexit.unregister(self.close)
        if self.waiting:
            logger.warning("webhook to %s: closed with %d turns undelivered", self._origin, self.waiting)
