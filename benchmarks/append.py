"""One durable turn more, off the event loop, in conversations of ten turns and of thousands."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

import peer_stores
import stores
from row import Row
from worker import Run

LENGTHS = (10, 30, 100, 300, 1000, 3000, 5000)
SUBJECTS = ["raw", "ours", "whole"]
ROUNDS, CALLS = 5, 40
PEER_ROUNDS, PEER_CALLS = 3, 6

Figures = dict[str, dict[int, list[float]]]


def rounds(run: Run) -> Figures:
    """Seconds by subject and length of the conversation, a figure for each round."""
    peers = list(peer_stores.PEERS) if run.peer is not None else []
    found: Figures = {subject: {length: [] for length in LENGTHS} for subject in [*SUBJECTS, *peers]}
    for place in range(ROUNDS):
        for length in LENGTHS:
            for subject, seconds in run.ours(stores.appends, subjects=SUBJECTS, length=length, calls=CALLS).items():
                found[subject][length].append(seconds)
            if run.peer is not None and place < PEER_ROUNDS:
                for peer in peers:
                    seconds = run.peer(peer_stores.appends, peer=peer, length=length, calls=PEER_CALLS)
                    found[peer][length].append(seconds)
    if run.peer is not None:
        run.peer(peer_stores.close)
    return found


def rows(run: Run) -> Iterator[Row]:
    """The lines of the table."""
    found = rounds(run)
    run.keep("rounds", found)
    curves = {who: {length: median(figures) for length, figures in by.items()} for who, by in found.items()}
    run.keep("append", {who: curve for who, curve in curves.items() if who != "whole"})
    short, long = LENGTHS[0], LENGTHS[-1]
    for length in (short, long):
        yield Row.of(
            f"one durable turn more after {length:,}, SqliteStore.commit",
            "s",
            found["ours"][length],
            found["raw"][length],
            peer_name="raw sqlite3",
            limit=1.4,
        )
    yield Row.of(
        f"  the same: {long:,} turns against {short}", "s", found["ours"][long], found["ours"][short], limit=1.3
    )
    yield Row.of(
        f"  after {long:,}, Conversations.acall with a trivial module",
        "s",
        found["whole"][long],
        found["raw"][long],
        peer_name="raw sqlite3",
    )
    for peer, store in peer_stores.PEERS.items():
        if peer in found:
            yield Row.of(
                f"  after {long:,}, against a peer",
                "s",
                found["ours"][long],
                found[peer][long],
                peer_name=store.name,
                note=f"{store.name} takes {curves[peer][short] * 1e3:.2g} ms after {short}",
            )
