"""A hundred conversations that all go on at once, each turn durable."""

from __future__ import annotations

from collections.abc import Iterator

import peer_stores
import stores
from row import Row
from worker import Run

CONVERSATIONS, TURNS, ROUNDS = 100, 40, 7
PEER_TURNS = 4


def rows(run: Run) -> Iterator[Row]:
    """The lines of the table."""
    found: dict[str, list[dict[str, float]]] = {"ours": [], "raw": []}
    for place in range(ROUNDS):
        for subject in ("ours", "raw") if place % 2 else ("raw", "ours"):
            figures = run.ours(stores.at_once, subject=subject, conversations=CONVERSATIONS, turns=TURNS)
            found[subject].append(figures)
    run.keep("at once", found)
    ours = [figures["seconds"] / (CONVERSATIONS * TURNS) for figures in found["ours"]]
    yield Row.of(
        f"{CONVERSATIONS} conversations appended to at once, a turn",
        "s",
        ours,
        [figures["seconds"] / (CONVERSATIONS * TURNS) for figures in found["raw"]],
        peer_name="raw group commit",
        limit=1 / 0.6,
        note=f"{1 / min(ours):,.0f} turns/s in the best round; the target is 0.6 of raw's turns/s",
    )
    yield Row.of(
        "  99th percentile of a turn",
        "s",
        [figures["p99"] for figures in found["ours"]],
        [figures["p99"] for figures in found["raw"]],
        peer_name="raw group commit",
        limit=2,
    )
    yield Row.of("  files open", "n", [found["ours"][0]["files"]], [], limit=6, counts="ours")
    if run.peer is None:
        return
    for peer, store in peer_stores.PEERS.items():
        figures = run.peer(peer_stores.at_once, peer=peer, conversations=CONVERSATIONS, turns=PEER_TURNS)
        run.keep(peer, figures)
        yield Row.of(
            "  a turn, against a peer",
            "s",
            ours,
            [figures["seconds"] / (CONVERSATIONS * PEER_TURNS)] * len(ours),
            peer_name=store.name,
            note=f"{store.name}: 99th percentile {figures['p99'] * 1e3:,.0f} ms",
        )
