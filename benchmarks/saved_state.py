"""A long conversation, written and read."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from measure import seconds
from row import Row
from worker import Run

TURNS, MANY = 1000, 8000
CHARACTERS = 800
ROUNDS = 5


@lru_cache
def _state(turns: int) -> Any:
    from programs import Parrot, question

    import dspy_session

    session = dspy_session.Session(Parrot())
    for place in range(turns):
        session(question=question(place, CHARACTERS // 2))
    return session.state


def save_and_load(turns: int) -> dict[str, float]:
    """Bytes of the file, and seconds to write and to read it."""
    from dspy_session import SessionState

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.json"
        saving = seconds(lambda: _state(turns).save(path), 1)
        loading = seconds(lambda: SessionState.load_from(path), 1)
        return {"bytes": path.stat().st_size, "save": saving, "load": loading}


def rows(run: Run) -> Iterator[Row]:
    """The lines of the table."""
    few, many = [], []
    for _ in range(ROUNDS):
        few.append(run.ours(save_and_load, turns=TURNS))
        many.append(run.ours(save_and_load, turns=MANY))
    run.keep(f"{TURNS} turns", few)
    run.keep(f"{MANY} turns", many)
    yield Row.of(
        f"a saved state of {TURNS:,} turns of {CHARACTERS} characters",
        "B",
        [few[0]["bytes"]],
        [TURNS * CHARACTERS],
        peer_name="the text",
        limit=1.5,
        note="git head wrote 417 MB in 4.1 s",
    )
    notes = {"save": "", "load": "git head's Session.load_from took 14 to 29 s for 5,000 turns"}
    for work, note in notes.items():
        yield Row.of(
            f"  {work}, a turn: {MANY:,} turns against {TURNS:,}",
            "s",
            [sample[work] / MANY for sample in many],
            [sample[work] / TURNS for sample in few],
            limit=1.5,
            note=note,
        )
