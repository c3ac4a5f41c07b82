"""Leases in memory: for a store that one process serves at a time."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

from dspy_session.errors import StaleJournalError
from dspy_session.stores.protocol import Lease


class MemoryLeases:
    """Who works on which conversation. Every method may be called from any thread.

    Args:
        clock: Seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._fences = itertools.count(1)
        self._clock = clock
        self._held: dict[str, tuple[Lease, float]] = {}
        self._lock = threading.Lock()

    def acquire(self, key: str, owner: str, seconds: float, length: int | None = None) -> Lease | None:
        """Take a conversation, whose journal is that long; None while somebody else has it."""
        with self._lock:
            held = self._held.get(key)
            if held is not None and held[1] > self._clock():
                return None
            lease = Lease(key, owner, next(self._fences), length)
            self._held[key] = (lease, self._clock() + seconds)
            return lease

    def renew(self, lease: Lease, seconds: float) -> bool:
        """Keep a lease; False when it was taken over. One that has run out and that nobody took is kept too."""
        with self._lock:
            if not self._is_held(lease):
                return False
            self._held[lease.key] = (lease, self._clock() + seconds)
            return True

    def release(self, lease: Lease) -> None:
        """Give a conversation free, if it is still ours."""
        with self._lock:
            if self._is_held(lease):
                del self._held[lease.key]

    def revoke(self, key: str) -> None:
        """Take a conversation away from whoever has it."""
        with self._lock:
            self._held.pop(key, None)

    def held(self) -> set[str]:
        """The conversations that somebody works on."""
        with self._lock:
            now = self._clock()
            return {key for key, (_, until) in self._held.items() if until > now}

    def check(self, lease: Lease) -> None:
        """See that nobody has taken a conversation over.

        Raises:
            StaleJournalError: Somebody has.
        """
        with self._lock:
            if not self._is_held(lease):
                raise StaleJournalError(f"the conversation {lease.key!r} was taken over meanwhile; nothing was written")

    def _is_held(self, lease: Lease) -> bool:
        held = self._held.get(lease.key)
        return held is not None and held[0] == lease
