"""What a session adds to a call, with ten turns behind it and with thousands."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from statistics import median
from typing import Any

from measure import seconds
from row import Row
from worker import Run

LENGTHS = (10, 30, 100, 300, 1000, 3000, 5000)
WINDOW = 20
ROUNDS = 15
PEER_ROUNDS = 5


@lru_cache
def _session(reads: bool, window: int | None, turns: int) -> tuple[Any, Any]:
    from programs import Reader, Trivial, fill

    import dspy_session

    module = Reader() if reads else Trivial()
    session = dspy_session.Session(module, max_turns=window, history_policy="use_if_provided")
    return module, fill(session, turns)


def overhead(turns: int, window: int | None, reads: bool, calls: int, blocks: int) -> dict[str, list[float]]:
    """Seconds of a bare call, and what a recorded one takes more, the state ``turns`` long.

    Blocks of calls of both kinds take turns; each is short, so that few of them are interrupted.
    """
    module, session = _session(reads, window, turns)
    found: dict[str, list[float]] = {"bare": [], "overhead": []}
    for _ in range(blocks):
        bare = seconds(lambda: module(question="And now?"), 20)
        recorded = seconds(lambda: session(question="And now?"), calls)
        session.undo(calls)
        found["bare"].append(bare)
        found["overhead"].append(recorded - bare)
    return found


def building(turns: int) -> float:
    """Seconds to build a list of messages from inputs and outputs, as any program would."""
    from programs import question

    pairs = [({"question": question(place)}, {"answer": "A fine answer."}) for place in range(turns)]
    return seconds(lambda: [{**inputs, **outputs} for inputs, outputs in pairs], 5)


def curves(run: Run) -> dict[str, dict[int, list[float]]]:
    """Seconds of overhead by length of the state, ours and the peer's; a round of each by turns."""
    rounds: dict[str, dict[int, list[float]]] = {"ours": {}, "peer": {}}
    for place in range(ROUNDS):
        for turns in LENGTHS:
            found = run.ours(overhead, turns=turns, window=WINDOW, reads=False, calls=20, blocks=10)
            rounds["ours"].setdefault(turns, []).extend(found["overhead"])
            if run.peer is not None and place < PEER_ROUNDS:
                found = run.peer(overhead, turns=turns, window=WINDOW, reads=False, calls=5, blocks=2)
                rounds["peer"].setdefault(turns, []).extend(found["overhead"])
    return rounds


def rows(run: Run) -> Iterator[Row]:
    """The lines of the table."""
    measured = curves(run)
    run.keep("overhead", measured)
    short, long = LENGTHS[0], LENGTHS[-1]
    bare = median(run.ours(overhead, turns=short, window=WINDOW, reads=False, calls=1, blocks=100)["bare"])
    note = f"a bare call takes {bare * 1e6:.1f} µs here; where the target was set it took 10 µs"
    for turns in (short, long):
        yield Row.of(
            f"a recorded turn, {turns:,} turns behind it, window of {WINDOW}",
            "s",
            measured["ours"][turns],
            measured["peer"].get(turns, []),
            peer_name="0.1.2",
            limit=30e-6,
            counts="ours",
            note=note if turns == short else "",
        )
    yield Row.of(
        f"  the same: {long:,} turns against {short}",
        "s",
        measured["ours"][long],
        measured["ours"][short],
        limit=1.3,
    )

    found: dict[str, list[float]] = {"ours": [], "list": [], "window": [], "peer": []}
    for place in range(ROUNDS):
        found["window"] += run.ours(overhead, turns=long, window=WINDOW, reads=True, calls=20, blocks=10)["overhead"]
        found["ours"] += run.ours(overhead, turns=long, window=None, reads=True, calls=3, blocks=2)["overhead"]
        found["list"] += [run.ours(building, turns=long), run.ours(building, turns=long)]
        if run.peer is not None and place < PEER_ROUNDS:
            found["peer"] += run.peer(overhead, turns=long, window=None, reads=True, calls=1, blocks=2)["overhead"]
    run.keep("no window", found)
    yield Row.of(f"  {long:,} turns, for a program that takes the history", "s", found["window"], [])
    yield Row.of(
        f"  {long:,} turns, no window, for a program that takes the history",
        "s",
        found["ours"],
        found["list"],
        peer_name="the list alone",
        limit=3,
        note=f"0.1.2 takes {median(found['peer']) * 1e3:.0f} ms" if found["peer"] else "",
    )
