"""When a delivery that failed is tried again. Pure."""

from __future__ import annotations

from dspy_session.stores.outgoing import Settlement

RETRY_DELAYS = (5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
"""Seconds to wait after the first, second, … failed attempt: the schedule that Standard Webhooks recommends, about
three and a half days in all."""

ATTEMPTS = len(RETRY_DELAYS) + 1
"""How often a delivery is tried in all."""

JITTER = 0.2
"""A delay grows by up to this share, so that what failed together does not return together."""


def after_failure(attempt: int, reason: str, *, jitter: float) -> Settlement:
    """What follows from a failed attempt that says nothing of when to come back.

    Args:
        attempt: The number of the attempt, from 1.
        reason: Why it failed, in words that hold no secret.
        jitter: A random number, 0 ≤ jitter < 1.
    """
    if attempt >= ATTEMPTS:
        return Settlement("parked", reason=reason)
    return Settlement("retry", delay=RETRY_DELAYS[attempt - 1] * (1 + JITTER * jitter), reason=reason)
