"""Messages through the whole bot with an agent that costs nothing, against a bare handler on the same platform."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from contextlib import asynccontextmanager
from statistics import median
from typing import Any

import room
from row import Row
from worker import Run

CONVERSATIONS, MESSAGES, ROUNDS = 100, 10, 7


@asynccontextmanager
async def _bot(place: Any, store: str) -> Any:
    from programs import Obliging

    from dspy_session_chat import Bot

    async with Bot(Obliging(), platforms=[place], store=store):
        yield


@asynccontextmanager
async def _echo(place: Any) -> Any:
    from dspy_session_chat import Post, Reply

    async def answer(inbound: Any) -> None:
        await place.post(Post(inbound, Reply(inbound.text)))

    listening = asyncio.create_task(place.run(answer))
    yield
    listening.cancel()


def a_message(subject: str, kind: str) -> float:
    """Seconds a message: a hundred conversations, in each one message after the other."""

    async def measured() -> float:
        place = room.ROOMS[kind]()

        async def talk(number: int, messages: int) -> None:
            for count in range(messages):
                await place.ask(f"t{number}", f"What about {count}?")

        with tempfile.TemporaryDirectory(prefix="dspy-session-bench-") as folder:
            stores = {"ours": f"sqlite:///{folder}/bot.db", "in memory": "memory://"}
            async with _echo(place) if subject == "echo" else _bot(place, stores[subject]):
                await asyncio.gather(*(talk(number, 1) for number in range(CONVERSATIONS)))
                began = time.perf_counter()
                await asyncio.gather(*(talk(number, MESSAGES) for number in range(CONVERSATIONS)))
                return (time.perf_counter() - began) / (CONVERSATIONS * MESSAGES)

    return asyncio.run(measured())


def rows(run: Run) -> Iterator[Row]:
    """The lines of the table."""
    for kind, shown in (("whole", "posted when whole"), ("edited", "shown by edits")):
        found: dict[str, list[float]] = {"ours": [], "in memory": [], "echo": []}
        for place in range(ROUNDS):
            for subject in found if place % 2 else reversed(found):
                found[subject].append(run.ours(a_message, subject=subject, kind=kind))
        run.keep(kind, found)
        ours, in_memory = median(found["ours"]), median(found["in memory"])
        yield Row.of(
            f"a message through the whole bot, {shown}",
            "s",
            found["ours"],
            found["echo"],
            peer_name="a bare echo",
            note=f"{1 / ours:,.0f} messages/s; {1 / in_memory:,.0f} with the store in memory, so that the file takes "
            f"{1 - in_memory / ours:.0%} of the time",
        )
