"""What goes out of a store: deliveries for sinks, in a lane for each sink and conversation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message for a sink, frozen when it was written.

    Args:
        sink: The sink's name.
        id: The same whenever it is delivered again.
        body: What to deliver.
        at: When it was written, in seconds since 1970, UTC.
    """

    sink: str
    id: str
    body: bytes
    at: float


@dataclass(frozen=True, slots=True)
class Batch:
    """Deliveries of one lane that are being made; the lane gives out no others until the batch is settled.

    Args:
        sink: The sink's name.
        key: The conversation.
        fence: Rises with each claim of the lane; a batch with an older one settles nothing.
        attempt: The number of this attempt at the first of them, from 1.
        deliveries: What to deliver, in order.
    """

    sink: str
    key: str
    fence: int
    attempt: int
    deliveries: Sequence[Delivery]


Outcome = Literal["delivered", "retry", "parked", "disabled"]


@dataclass(frozen=True, slots=True)
class Settlement:
    """What came of a batch.

    Args:
        outcome: ``"delivered"``: all of it. ``"retry"``: try again in ``delay`` seconds. ``"parked"``: the lane stands
            still until it is resumed. ``"disabled"``: the sink wants nothing more; all that waits for it is dropped.
        delay: Seconds until the next attempt.
        hold: Seconds in which the sink is left alone altogether, from any lane; never shortens a hold that runs.
        reason: Why it failed, for people; holds no secret.
    """

    outcome: Outcome
    delay: float = 0.0
    hold: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class LaneInfo:
    """A lane as a listing shows it.

    Args:
        sink: The sink's name.
        key: The conversation.
        waiting: How many deliveries are in it.
        oldest_at: When the first of them was written, in seconds since 1970, UTC.
        attempts: How often the first of them was tried.
        due_at: When it is tried next, likewise; None while the lane is parked.
        reason: Why the last attempt failed; empty when none did.
    """

    sink: str
    key: str
    waiting: int
    oldest_at: float
    attempts: int
    due_at: float | None
    reason: str = ""


@runtime_checkable
class Outbox(Protocol):
    """Keeps deliveries until they are made: a lane for each sink and conversation, in order in each."""

    async def claim(self, sink: str, limit: int, seconds: float) -> Batch | None:
        """Take up to ``limit`` deliveries of the lane that has been due longest, for ``seconds``; None if none is."""
        ...

    async def settle(self, batch: Batch, settlement: Settlement) -> bool:
        """Do with a batch what was decided; False when somebody else has claimed the lane meanwhile."""
        ...

    async def lanes(self, sink: str | None = None) -> Sequence[LaneInfo]:
        """The lanes in which something waits, the one with the oldest delivery first."""
        ...

    async def resume(self, sink: str, key: str | None = None) -> int:
        """Start parked lanes, or a disabled sink, again; how many lanes that were."""
        ...

    async def enqueue(self, key: str, deliveries: Sequence[Delivery]) -> None:
        """Add deliveries to the end of a conversation's lanes, outside of a commit: a replay, due from now on."""
        ...

    async def due(self, sink: str) -> float | None:
        """Seconds until ``claim`` may have something for a sink, as far as is known; None when nothing waits."""
        ...
