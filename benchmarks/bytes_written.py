"""What a turn costs the disk: bytes written while it is kept, and bytes that stay."""

from __future__ import annotations

from collections.abc import Iterator

import peer_stores
import stores
from row import Row
from worker import Run

TURNS, FEW, CHARACTERS = 5000, 10, 800
MORE = 600
"""Turns over which writing is counted; the log is folded back into the file a few times meanwhile."""
PEER_MORE = {"agents": 600, "sqlalchemy": 300, "langgraph": 20}


def rows(run: Run) -> Iterator[Row]:
    """The lines of the table."""
    found = {
        (subject, length, deliver): run.ours(
            stores.written, subject=subject, length=length, turns=MORE, deliver=deliver
        )
        for subject in ("ours", "raw")
        for length in (FEW, TURNS)
        for deliver in (True, False)
    }
    run.keep("written", [[*what, figure] for what, figure in found.items()])
    yield Row.of(
        f"bytes written for a turn of {CHARACTERS} characters after {TURNS:,}, with its outbox row",
        "B",
        [found["ours", TURNS, True]],
        [found["raw", TURNS, True]],
        peer_name="raw sqlite3",
        limit=18e3,
        counts="ours",
        note="the log's pages and what of them is written back into the file",
    )
    yield Row.of(
        f"  the same: {TURNS:,} turns against {FEW}",
        "B",
        [found["ours", TURNS, True]],
        [found["ours", FEW, True]],
        limit=1.1,
    )
    alone = [found["ours", TURNS, False]]
    yield Row.of("  without the outbox row", "B", alone, [found["raw", TURNS, False]], peer_name="raw sqlite3")
    if run.peer is not None:
        for peer, store in peer_stores.PEERS.items():
            figure = run.peer(peer_stores.written, peer=peer, length=TURNS, turns=PEER_MORE[peer])
            run.keep(peer, figure)
            yield Row.of("  without the outbox row, against a peer", "B", alone, [figure], peer_name=store.name)
        run.peer(peer_stores.close)
    kept = run.ours(stores.stored, subject="ours", turns=TURNS)
    run.keep("stored", kept)
    yield Row.of(
        f"bytes stored a turn of {CHARACTERS} characters, {TURNS:,} turns",
        "B",
        [kept],
        [CHARACTERS],
        peer_name="the text",
        limit=1.5,
    )
