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
TARGET, BARE = 30e-6, 10e-6
"""Seconds that a session may add, and that a bare call took on the machine where this was decided."""

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


def rounds(run: Run) -> dict[str, dict[int, dict[str, list[float]]]]:
    """What ``overhead`` finds by length of the state, for us and for the peer; a round of each by turns."""
    found: dict[str, dict[int, dict[str, list[float]]]] = {"ours": {}, "peer": {}}
    for place in range(ROUNDS):
        for turns in LENGTHS:
            _add(found["ours"], turns, run.ours(overhead, turns=turns, window=WINDOW, reads=False, calls=20, blocks=10))
            if run.peer is not None and place < PEER_ROUNDS:
                figures = run.peer(overhead, turns=turns, window=WINDOW, reads=False, calls=5, blocks=2)
                _add(found["peer"], turns, figures)
    return found


def _add(by_turns: dict[int, dict[str, list[float]]], turns: int, figures: dict[str, list[float]]) -> None:
    for name, more in figures.items():
        by_turns.setdefault(turns, {}).setdefault(name, []).extend(more)


def rows(run: Run) -> Iterator[Row]:
    """The lines of the table."""
    found = rounds(run)
    medians = {
        who: {turns: median(figures["overhead"]) for turns, figures in by_turns.items()}
        for who, by_turns in found.items()
    }
    run.keep("overhead", medians)
    run.keep("rounds", found)
    short, long = LENGTHS[0], LENGTHS[-1]
    for turns in (short, long):
        bare = median(found["ours"][turns]["bare"])
        yield Row.of(
            f"a recorded turn, {turns:,} turns behind it, window of {WINDOW}",
            "s",
            found["ours"][turns]["overhead"],
            found["peer"].get(turns, {}).get("overhead", []),
            peer_name="0.1.2",
            limit=TARGET * max(1, bare / BARE),
            counts="ours",
            note=f"a bare call takes {bare * 1e6:.1f} µs; beyond 10 µs the target grows with it",
        )
    yield Row.of(
        f"  the same: {long:,} turns against {short}",
        "s",
        found["ours"][long]["overhead"],
        found["ours"][short]["overhead"],
        limit=1.3,
    )
    yield from _no_window(run, long)


def _no_window(run: Run, turns: int) -> Iterator[Row]:
    window: dict[str, list[float]] = {"bare": [], "overhead": []}
    found: dict[str, list[float]] = {"ours": [], "list": [], "peer": []}
    for place in range(ROUNDS):
        figures = run.ours(overhead, turns=turns, window=WINDOW, reads=True, calls=20, blocks=10)
        for name, more in figures.items():
            window[name] += more
        found["ours"] += run.ours(overhead, turns=turns, window=None, reads=True, calls=3, blocks=2)["overhead"]
        found["list"] += [run.ours(building, turns=turns), run.ours(building, turns=turns)]
        if run.peer is not None and place < PEER_ROUNDS:
            found["peer"] += run.peer(overhead, turns=turns, window=None, reads=True, calls=1, blocks=2)["overhead"]
    run.keep("takes the history", window)
    run.keep("no window", found)
    yield Row.of(
        f"  {turns:,} turns, for a program that takes the history",
        "s",
        window["overhead"],
        window["bare"],
        peer_name="a bare call",
    )
    yield Row.of(
        f"  {turns:,} turns, no window, for a program that takes the history",
        "s",
        found["ours"],
        found["list"],
        peer_name="the list alone",
        limit=3,
        note=f"0.1.2 takes {median(found['peer']) * 1e3:.0f} ms" if found["peer"] else "",
    )
