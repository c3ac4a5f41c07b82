"""How fast connections may follow each other, and tries to have one."""

from __future__ import annotations

from collections import deque

WINDOW = 600.0
"""Seconds in which connections are counted."""

FREE = 3
"""Connections of each shard in that time that need not wait: one, and two that were lost by chance."""

LONGEST = 30.0
"""Seconds between two at most: discord.py gives up on a connection after 60."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 300.0
"""Seconds before another try to log in, or a connection that takes the place of one that broke over what Discord sent;
each pause is twice the one before, until a connection has lasted for longer than the longest."""


def pause_after(pause: float, lasted: float) -> float:
    """Seconds to wait once a connection broke, or none came about.

    Args:
        pause: What was waited before that connection; 0 for the first.
        lasted: Seconds that it lasted.
    """
    return FIRST_PAUSE if lasted > LONGEST_PAUSE else min(LONGEST_PAUSE, max(FIRST_PAUSE, 2 * pause))


class Pace:
    """Lets connections that are lost again and again follow each other more and more slowly.

    discord.py waits when it cannot connect, and not at all when it can and the connection is ended at once.

    Args:
        shards: How many connections there are side by side.
    """

    def __init__(self, shards: int = 1) -> None:
        self._free = FREE * shards
        self._begun: deque[float] = deque()

    def pause(self, now: float) -> float:
        """Seconds to wait before a connection is begun that somebody wants at ``now``, a time in seconds."""
        while self._begun and self._begun[0] <= now - WINDOW:
            self._begun.popleft()
        too_many = len(self._begun) - self._free
        pause = 0.0 if too_many < 0 else min(LONGEST, 2.0**too_many)
        self._begun.append(now + pause)
        return pause
