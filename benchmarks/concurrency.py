"""A hundred conversations at once, each in its own order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Iterator
from typing import Any

from row import Row
from worker import Run

CONVERSATIONS = 100
ROUNDS = 25


async def _timed(calls: list[Awaitable[Any]]) -> float:
    started = time.perf_counter()
    await asyncio.gather(*calls)
    return time.perf_counter() - started


def at_once(rounds: int) -> list[dict[str, float]]:
    """Seconds until all have answered: bare, and as locked conversations of one session."""
    from programs import Slow

    from dspy_session import Session, SessionState

    async def measured() -> list[dict[str, float]]:
        module = Slow()
        session = Session(module, lock="async")

        async def turn(state: SessionState) -> None:
            async with session.use_state(state):
                await session.acall(question="And now?")

        states = [session.new_state() for _ in range(CONVERSATIONS)]
        return [
            {
                "bare": await _timed([module.acall(question="And now?") for _ in states]),
                "ours": await _timed([turn(state) for state in states]),
            }
            for _ in range(rounds)
        ]

    return asyncio.run(measured())


def rows(run: Run) -> Iterator[Row]:
    """The lines of the table."""
    found = run.ours(at_once, rounds=ROUNDS)
    run.keep("seconds", found)
    yield Row.of(
        f"{CONVERSATIONS} conversations at once, a model of 50 ms, lock='async'",
        "s",
        [sample["ours"] for sample in found],
        [sample["bare"] for sample in found],
        peer_name="a bare gather",
        limit=1.25,
        note="git head took 5.1 s",
    )
