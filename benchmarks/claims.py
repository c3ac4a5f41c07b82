"""What is to be done next: deliveries of an outbox in which thousands wait, messages of a long conversation."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from statistics import median
from typing import Any

from measure import loop
from row import Row
from worker import Run

WAITING, FEW, DONE = 100_000, 100, 5000
SHAPES = (("SQLite", 100), ("SQLite", 1), ("PostgreSQL", 100), ("PostgreSQL", 10))
"""Where, and how many deliveries of each conversation."""
SINK = "webhook:bench"
ROUNDS, CALLS = 5, 20


async def _fill(store: Any, deliveries: int, in_a_lane: int) -> None:
    from dspy_session.stores import Delivery

    body = b'{"type":"conversation.turn"}'.ljust(1200)

    def lane(place: int) -> list[Delivery]:
        return [Delivery(SINK, f"turn_{place}_{number}", body, 1e9) for number in range(in_a_lane)]

    lanes = range(deliveries // in_a_lane)
    for start in range(0, len(lanes), 1000):
        some = lanes[start : start + 1000]
        await asyncio.gather(*(store.enqueue(f"slack:T1:C{place}", lane(place)) for place in some))


@lru_cache
def _store(kind: str, deliveries: int, in_a_lane: int) -> Any:
    if kind == "SQLite":
        from dspy_session.stores.sqlite import SqliteStore

        folder = tempfile.TemporaryDirectory(prefix="dspy-session-bench-")
        store: Any = SqliteStore(Path(folder.name) / "outbox.db")
        store.folder = folder  # goes when the store does
    else:
        from servers import postgres

        from dspy_session.stores.postgres import PostgresStore

        store = PostgresStore(postgres().url(f"claims_{deliveries}_{in_a_lane}"))
    loop().run(store.open())
    loop().run(_fill(store, deliveries, in_a_lane))
    return store


def claims(kind: str, deliveries: int, in_a_lane: int, calls: int) -> dict[str, float]:
    """Seconds to claim up to 20 deliveries, and to ask when the next are due, while that many wait."""
    store = _store(kind, deliveries, in_a_lane)

    async def measured() -> dict[str, float]:
        found: dict[str, list[float]] = {"claim": [], "due": []}
        for _ in range(calls):
            began = time.perf_counter()
            batch = await store.claim(SINK, 20, 60.0)
            claimed = time.perf_counter()
            assert batch is not None
            await store.due(SINK)
            found["claim"].append(claimed - began)
            found["due"].append(time.perf_counter() - claimed)
            await _give_back(store, batch)
        return {name: median(seconds) for name, seconds in found.items()}

    return loop().run(measured())


@lru_cache
def _long(kind: str, done: int) -> Any:
    """A store, and the lease on a conversation in which that many messages are done and one waits."""
    from dspy_session.stores import Arrival, Commit, Settled

    store = _store(kind, FEW, 1)
    key = f"slack:T1:long{done}"

    async def fill() -> Any:
        for start in range(0, done, 1000):
            numbers = range(start, min(start + 1000, done))
            settled = [Settled(f"event:{number}") for number in numbers]
            await asyncio.gather(*(store.commit(Commit(key=key, expected=0, settled=one)) for one in settled))
        await store.receive(Arrival(key, "event:new", "{}", 1e9, 1e9))
        return await store.acquire(key, "bench", 3600.0)

    return store, loop().run(fill())


def takes(kind: str, done: int, calls: int) -> dict[str, float]:
    """Seconds to take the next message up, and to find conversations with work, that many messages being done."""
    store, lease = _long(kind, done)

    async def measured() -> dict[str, float]:
        found: dict[str, list[float]] = {"take": [], "waiting": []}
        for _ in range(calls):
            began = time.perf_counter()
            work = await store.take(lease)
            taken = time.perf_counter()
            assert work is not None
            await store.waiting(100)
            found["take"].append(taken - began)
            found["waiting"].append(time.perf_counter() - taken)
        return {name: median(seconds) for name, seconds in found.items()}

    return loop().run(measured())


async def _give_back(store: Any, batch: Any) -> None:
    from dspy_session.stores import Settlement

    await store.settle(batch, Settlement("retry"))


def close() -> None:
    """Stop what was started."""
    from servers import stop

    stop()


def rows(run: Run) -> Iterator[Row]:
    """The lines of the table."""
    for kind, in_a_lane in SHAPES:
        many, few = [], []
        for _ in range(ROUNDS):
            many.append(run.ours(claims, kind=kind, deliveries=WAITING, in_a_lane=in_a_lane, calls=CALLS))
            few.append(run.ours(claims, kind=kind, deliveries=FEW, in_a_lane=in_a_lane, calls=CALLS))
        run.keep(f"{kind}, {in_a_lane} in a lane", {"many": many, "few": few})
        due = median(sample["due"] for sample in many)
        yield Row.of(
            f"a claim from {kind}, {WAITING:,} deliveries waiting, {in_a_lane} in a lane",
            "s",
            [sample["claim"] for sample in many],
            [sample["claim"] for sample in few],
            peer_name=f"of {FEW}",
            limit=2e-3,
            counts="ours",
            note=f"to ask when the next are due takes {due * 1e3:.2g} ms",
        )
    for kind in ("SQLite", "PostgreSQL"):
        few, many = [], []
        for _ in range(ROUNDS):
            few.append(run.ours(takes, kind=kind, done=FEW, calls=CALLS))
            many.append(run.ours(takes, kind=kind, done=DONE, calls=CALLS))
        run.keep(f"{kind}, take", {"many": many, "few": few})
        waiting = median(sample["waiting"] for sample in many)
        yield Row.of(
            f"the next message from {kind}, {DONE:,} done before it in its conversation",
            "s",
            [sample["take"] for sample in many],
            [sample["take"] for sample in few],
            peer_name=f"after {FEW}",
            limit=1.3,
            note=f"to find conversations with work takes {waiting * 1e3:.2g} ms",
        )
    run.ours(close)
