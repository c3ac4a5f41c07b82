"""What a recorded turn takes in memory, when nothing cuts the history and every turn can say what it saw."""

from __future__ import annotations

from collections.abc import Iterator

from measure import bytes_kept
from row import Row
from worker import Run

TURNS = 5000
MORE = 100
CHARACTERS = 800


def a_turn(before: int, turns: int) -> float:
    """Bytes a turn of ``turns``, when ``before`` stand already."""
    from programs import Parrot, fill, question

    from dspy_session import Session

    session = fill(Session(Parrot(), history_policy="use_if_provided"), before, CHARACTERS // 2)

    def talk() -> None:
        for place in range(before, before + turns):
            session(question=question(place, CHARACTERS // 2))

    size = bytes_kept(talk)
    seen = len(session.turns[-1].history_snapshot.messages)
    if seen != before + turns - 1:
        raise SystemExit(f"the last turn saw {before + turns - 1} messages and remembers {seen}")
    return size / turns


def rows(run: Run) -> Iterator[Row]:
    """The lines of the table."""
    found = {turns: run.ours(a_turn, before=0, turns=turns) for turns in (TURNS // 5, TURNS)}
    more = run.ours(a_turn, before=TURNS, turns=MORE)
    peers = None if run.peer is None else run.peer(a_turn, before=TURNS, turns=MORE)
    run.keep("bytes a turn", found)
    run.keep("one more turn", {"ours": more, "peer": peers})
    yield Row(
        f"memory of a turn of {CHARACTERS} characters, {TURNS:,} recorded",
        "B",
        found[TURNS],
        limit=1600,
        counts="ours",
        note="0.1.2 took 513 KB when it was measured for the target",
    )
    yield Row.of(
        f"  the same: {TURNS:,} turns against {TURNS // 5:,}", "B", [found[TURNS]], [found[TURNS // 5]], limit=1.05
    )
    yield Row.of(
        f"  one more turn after {TURNS:,}",
        "B",
        [more],
        [] if peers is None else [peers],
        peer_name="0.1.2",
        limit=1600,
        counts="ours",
    )
