"""What a bot keeps in memory: of a conversation that it has let go of, and of one that it still holds."""

from __future__ import annotations

import asyncio
import gc
import tempfile
import tracemalloc
from collections.abc import Iterator

import room
from row import Row
from worker import Run

SOME, HELD = 100, 400
"""Conversations between which it is counted what one takes that is held; a thousand may be."""
FEW, MANY = 2000, 12_000
"""Conversations between which it is counted what each one leaves behind; a thousand are held at both moments."""
AT_ONCE = 100
TURNS, CHARACTERS = 10, 600


def kept() -> dict[str, float]:
    """Bytes a conversation that was let go of, and bytes a conversation that is held, with its text."""
    from programs import MessageParrot

    from dspy_session_chat import Bot

    def size() -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    async def measured(folder: str) -> dict[str, float]:
        place = room.Room()

        async def talk(start: int, end: int, turns: int, characters: int) -> None:
            async def one(number: int) -> None:
                for turn in range(turns):
                    await place.ask(f"{turns}.{number}", f"{turn}".ljust(characters // 2, "x"))

            for first in range(start, end, AT_ONCE):
                await asyncio.gather(*(one(number) for number in range(first, min(end, first + AT_ONCE))))

        async with Bot(MessageParrot(), platforms=[place], store=f"sqlite:///{folder}/bot.db"):
            await talk(0, SOME, TURNS, CHARACTERS)
            before = size()
            await talk(SOME, HELD, TURNS, CHARACTERS)
            held = (size() - before) / (HELD - SOME)
            await talk(0, FEW, 1, 20)
            before = size()
            await talk(FEW, MANY, 1, 20)
            return {"held": held, "let go": (size() - before) / (MANY - FEW)}

    tracemalloc.start()
    try:
        with tempfile.TemporaryDirectory(prefix="dspy-session-bench-") as folder:
            return asyncio.run(measured(folder))
    finally:
        tracemalloc.stop()


def rows(run: Run) -> Iterator[Row]:
    """The lines of the table."""
    found = run.ours(kept)
    run.keep("bytes", found)
    yield Row(
        f"memory of a conversation that was let go of, {MANY - FEW:,} of them",
        "B",
        max(0.0, found["let go"]),
        limit=4096,
        counts="ours",
    )
    yield Row.of(
        f"memory of a conversation of {TURNS} turns that is held",
        "B",
        [found["held"]],
        [TURNS * CHARACTERS],
        peer_name="its text",
        limit=3,
    )
