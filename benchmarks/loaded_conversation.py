"""A conversation that a server has loaded."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from measure import bytes_kept
from row import Row
from worker import Run

TURNS = 20
CHARACTERS = 600
CONVERSATIONS = 50


def loaded() -> dict[str, float]:
    """Bytes of a conversation's file, and of the state that is loaded from it."""
    from programs import Parrot, question

    from dspy_session import Session, SessionState

    session = Session(Parrot())
    for place in range(TURNS):
        session(question=question(place, CHARACTERS // 2))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.json"
        session.state.save(path)
        SessionState.load_from(path)
        size = bytes_kept(lambda: [SessionState.load_from(path) for _ in range(CONVERSATIONS)])
        return {"file": path.stat().st_size, "memory": size / CONVERSATIONS}


def rows(run: Run) -> Iterator[Row]:
    """The lines of the table."""
    found = run.ours(loaded)
    run.keep("bytes", found)
    yield Row.of(
        f"a conversation of {TURNS} turns, loaded",
        "B",
        [found["memory"]],
        [found["file"]],
        peer_name="its file",
        limit=32e3,
        counts="ours",
        note="git head took 253 KB",
    )
