"""From a message to its answer, through the whole bot: what people wait beyond the time that the model takes.

Each of fifty people writes, reads the answer, and writes again after a pause of their own. A model's answer takes a
second, so about thirty messages come each second, and most of the fifty are being answered at any moment.
"""

from __future__ import annotations

import asyncio
import gc
import random
import tempfile
from collections.abc import Iterator
from contextlib import asynccontextmanager
from statistics import median, quantiles
from typing import Any

import dspy
import room
import speaker
from row import Row
from worker import Run

CONVERSATIONS, MESSAGES, ROUNDS = 50, 6, 5
LONGEST_PAUSE = 1.0
P50, P99 = 15e-3, 60e-3


@asynccontextmanager
async def _bot(place: Any) -> Any:
    from dspy_session_chat import Bot

    agent, model = dspy.Predict("message -> reply"), speaker.speaker()
    with tempfile.TemporaryDirectory(prefix="dspy-session-bench-") as folder:
        async with Bot(agent, platforms=[place], store=f"sqlite:///{folder}/bot.db", lm=model):
            yield


@asynccontextmanager
async def _bare(place: Any) -> Any:
    """The same program without us: DSPy's own call, and DSPy's own stream where the platform can show it."""
    from dspy_session_chat import Post, Reply

    agent, model = dspy.Predict("message -> reply"), speaker.speaker()
    streams = isinstance(place, room.EditRoom)

    async def answer(inbound: Any) -> None:
        with dspy.context(lm=model, disable_history=True, trace=[]):
            if not streams:
                await place.post(Post(inbound, Reply((await agent.acall(message=inbound.text)).reply)))
                return
            listener = dspy.streaming.StreamListener("reply")
            first = True
            streamed = dspy.streamify(agent, stream_listeners=[listener], is_async_program=True)
            async for item in streamed(message=inbound.text):
                if isinstance(item, dspy.Prediction):
                    await place.post(Post(inbound, Reply(item.reply)))
                elif first and isinstance(item, dspy.streaming.StreamResponse):
                    first = False
                    await place.begin(inbound, item.chunk)

    listening = asyncio.create_task(place.run(answer))
    yield
    listening.cancel()


SUBJECTS = {"ours": _bot, "dspy": _bare}


def waited(subject: str, kind: str, seed: int) -> dict[str, list[float]]:
    """Seconds beyond the model's own, of each message: until the first that is seen of its answer, and the last."""

    async def measured() -> dict[str, list[float]]:
        place, found = room.ROOMS[kind](), {"first": [], "last": []}
        until_first = speaker.FIRST if kind == "edited" else speaker.LAST

        async def talk(number: int) -> None:
            pauses = random.Random(f"{seed} {number}")
            for place_in_talk in range(MESSAGES):
                await asyncio.sleep(pauses.uniform(0, LONGEST_PAUSE))
                asked = await place.ask(f"t{number}", f"What about {place_in_talk}?")
                if place_in_talk:  # the first one of all makes caches
                    found["first"].append(asked.first - asked.sent - until_first)
                    found["last"].append(asked.last - asked.sent - speaker.LAST)

        async with SUBJECTS[subject](place):
            gc.collect()
            gc.freeze()  # as ``Bot.run`` does
            try:
                await asyncio.gather(*map(talk, range(CONVERSATIONS)))
            finally:
                gc.unfreeze()
        return found

    return asyncio.run(measured())


def rows(run: Run) -> Iterator[Row]:
    """The lines of the table."""
    for kind, shown, moments in (
        ("edited", "shown by edits", {"first": "to the first post", "last": "to the last post"}),
        ("whole", "posted when whole", {"last": "to the post"}),
    ):
        found: dict[str, list[dict[str, list[float]]]] = {"ours": [], "dspy": []}
        for number in range(ROUNDS):
            for subject in ("ours", "dspy") if number % 2 else ("dspy", "ours"):
                found[subject].append(run.ours(waited, subject=subject, kind=kind, seed=number))
        run.keep(kind, found)
        for moment, until in moments.items():
            ours, bare = ([figures[moment] for figures in found[subject]] for subject in ("ours", "dspy"))
            work = f"{CONVERSATIONS} conversations at once, {shown}: {until}, beyond the model's time"
            yield _row(work, ours, bare, median, P50)
            yield _row("  99th percentile", ours, bare, _p99, P99)


def _row(work: str, ours: list[list[float]], bare: list[list[float]], of: Any, limit: float) -> Row:
    return Row.of(work, "s", [*map(of, ours)], [*map(of, bare)], peer_name="bare DSPy", limit=limit, counts="ours")


def _p99(seconds: list[float]) -> float:
    return quantiles(seconds, n=100)[98]
