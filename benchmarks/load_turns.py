"""The last twenty turns of a conversation of thousands, read from where they are kept."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

import peer_stores
import stores
from row import Row
from worker import Run

TURNS, FEW, WINDOW = 5000, 60, 20
ROUNDS, CALLS, PEER_CALLS = 7, 60, 10
IN_A_FILE = 2000
"""Turns that 0.1.2 loads, all at once: 5,000 take it 39 s."""
TARGET, SELECT = 0.25e-3, 0.10e-3
"""Seconds that a load may take, and that a bare SELECT took on the machine where this was decided."""


def rows(run: Run) -> Iterator[Row]:
    """The lines of the table."""
    many, few = [], []
    peers: dict[str, list[float]] = {peer: [] for peer in peer_stores.PEERS}
    for _ in range(ROUNDS):
        many.append(run.ours(stores.loads, length=TURNS, count=WINDOW, calls=CALLS))
        few.append(run.ours(stores.loads, length=FEW, count=WINDOW, calls=CALLS))
        if run.peer is not None:
            for peer, figures in peers.items():
                figures.append(run.peer(peer_stores.loads, peer=peer, length=TURNS, count=WINDOW, calls=PEER_CALLS))
    run.keep(f"{TURNS} turns", many)
    run.keep(f"{FEW} turns", few)
    run.keep("peers", peers)
    raw = median(sample["raw"] for sample in many)
    yield Row.of(
        f"the last {WINDOW} turns of {TURNS:,}, SqliteStore.read",
        "s",
        [sample["read"] for sample in many],
        [sample["raw"] for sample in many],
        peer_name="a raw SELECT",
        limit=TARGET * max(1, raw / SELECT),
        counts="ours",
        note=f"a raw SELECT takes {raw * 1e3:.2g} ms; beyond 0.1 ms the target grows with it",
    )
    yield Row.of(
        f"  the same: {TURNS:,} turns against {FEW}",
        "s",
        [sample["read"] for sample in many],
        [sample["read"] for sample in few],
        limit=1.3,
    )
    state = [sample["state"] for sample in many]
    yield Row.of(
        "  as a state to go on with: twice as many entries, decoded",
        "s",
        state,
        [sample["raw"] for sample in many],
        peer_name="a raw SELECT",
    )
    if run.peer is None:
        return
    for peer, store in peer_stores.PEERS.items():
        yield Row.of("  that, against a peer", "s", state, peers[peer], peer_name=store.name)
    run.peer(peer_stores.close)
    whole = run.peer(peer_stores.loads_file, turns=IN_A_FILE)
    run.keep("load_from", whole)
    yield Row.of("  that, against a peer", "s", state, [whole] * len(state), peer_name=f"0.1.2, {IN_A_FILE:,} turns")
