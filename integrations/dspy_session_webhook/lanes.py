"""What waits to be delivered: one lane per conversation, in order in each, side by side over all."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections import deque
from dataclasses import dataclass, field

from dspy_session_webhook.body import Message
from dspy_session_webhook.schedule import Decision, Delivered, Disable, Park, Retry


@dataclass(frozen=True, slots=True)
class Claim:
    """A message that is being delivered; its lane gives out no other until the claim is settled.

    Args:
        message: What to deliver.
        attempt: The number of this attempt, from 1.
    """

    message: Message
    attempt: int


@dataclass(slots=True)
class _Lane:
    waiting: deque[Message] = field(default_factory=deque)
    failed: int = 0
    parked: bool = False


class Lanes:
    """An outbox in memory. Every method may be called from any thread; time is told in monotonic seconds.

    A lane exists while something waits in it, so memory follows the backlog, and the backlog is bounded: what does
    not fit is refused, never put in place of something older, so that what is delivered has no gaps before its end.

    Args:
        capacity: Bytes of bodies that may wait.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._size = 0
        self._waiting = 0
        self._lanes: dict[str, _Lane] = {}
        self._due: list[tuple[float, int, str]] = []
        self._order = itertools.count()
        self._held_until = float("-inf")
        self._disabled = False
        self._lock = threading.Lock()

    @property
    def waiting(self) -> int:
        """Messages that are not delivered yet, those on their way and in parked lanes included."""
        return self._waiting

    @property
    def parked(self) -> tuple[str, ...]:
        """Conversations whose schedule is used up."""
        with self._lock:
            return tuple(key for key, lane in self._lanes.items() if lane.parked)

    def put(self, message: Message, now: float) -> str:
        """Append ``message`` to its lane. Returns why it was refused, or an empty text when it was not."""
        with self._lock:
            if self._disabled:
                return "the endpoint is disabled"
            if self._size + len(message.body) > self._capacity:
                return f"{self._capacity} bytes are waiting already"
            lane = self._lanes.get(message.lane)
            if lane is None:
                lane = self._lanes[message.lane] = _Lane()
                self._make_due(message.lane, now)
            lane.waiting.append(message)
            self._size += len(message.body)
            self._waiting += 1
            return ""

    def claim(self, now: float) -> Claim | None:
        """The message that has been due longest, or None when none is due."""
        with self._lock:
            if now < self._held_until or not self._due or self._due[0][0] > now:
                return None
            _, _, key = heapq.heappop(self._due)
            lane = self._lanes[key]
            return Claim(lane.waiting[0], lane.failed + 1)

    def settle(self, claim: Claim, decision: Decision, now: float) -> int:
        """Do with a claimed message what was decided. Returns how many messages that gave up."""
        with self._lock:
            key = claim.message.lane
            lane = self._lanes.get(key)
            if lane is None:  # The endpoint was disabled meanwhile.
                return 0
            match decision:
                case Delivered():
                    self._pop(key, lane, now)
                case Retry(delay, hold):
                    lane.failed += 1
                    self._held_until = max(self._held_until, now + hold)
                    self._make_due(key, now + delay)
                case Park():
                    lane.parked = True
                case Disable():
                    return self._disable()
            return 0

    def resume(self, now: float) -> None:
        """Start every parked lane again, from the message that it stopped at."""
        with self._lock:
            for key, lane in self._lanes.items():
                if lane.parked:
                    lane.parked = False
                    lane.failed = 0
                    self._make_due(key, now)

    def next_due(self) -> float | None:
        """When ``claim`` will have something next; None when only a new message or a settled claim can tell."""
        with self._lock:
            return max(self._due[0][0], self._held_until) if self._due else None

    def _make_due(self, key: str, due: float) -> None:
        heapq.heappush(self._due, (due, next(self._order), key))

    def _pop(self, key: str, lane: _Lane, now: float) -> None:
        self._size -= len(lane.waiting.popleft().body)
        self._waiting -= 1
        lane.failed = 0
        if lane.waiting:
            self._make_due(key, now)
        else:
            del self._lanes[key]

    def _disable(self) -> int:
        given_up, self._waiting, self._size = self._waiting, 0, 0
        self._disabled = True
        self._lanes.clear()
        self._due.clear()
        return given_up
