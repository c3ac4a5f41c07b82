"""When a sink that fails is left alone, and how it is tried again: pure."""

from __future__ import annotations

from dataclasses import dataclass

LIMIT = 5
"""Failures in a row, over all conversations, after which a sink is left alone."""

FIRST_HOLD, LONGEST_HOLD = 5.0, 300.0
"""Seconds that it is left alone, first and at most; they double each time that it fails again."""


@dataclass(frozen=True, slots=True)
class Breaker:
    """What is known of how a sink does, in this process.

    Without it, every conversation that has something for a dead endpoint would find out for itself, and use up its
    attempts on that.

    Args:
        failures: How often it failed, in a row.
        holds: How often it was left alone, in a row.
    """

    failures: int = 0
    holds: int = 0

    @property
    def hold(self) -> float:
        """Seconds that it is to be left alone now."""
        if not self.holds:
            return 0.0
        return min(FIRST_HOLD * 2.0 ** min(self.holds - 1, 30), LONGEST_HOLD)  # nobody needs 2**1000

    def at_once(self, concurrency: int) -> int:
        """How many batches may be under way: one, to see how it does, once it has been left alone."""
        return 1 if self.holds else concurrency

    def failed(self, known: Breaker) -> Breaker:
        """What is known after a failure.

        Args:
            known: What was known when the batch was claimed: what was under way together before the sink was left
                alone fails together, which tells nothing new.
        """
        if known.holds != self.holds:
            return self
        failures = self.failures + 1
        return Breaker(failures, self.holds + 1 if failures >= LIMIT else 0)
