"""What waits for sinks, to be looked at."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.text import Text

from dspy_session.stores import LaneInfo
from dspy_session_bots.console import harmless
from dspy_session_bots.moments import iso, lasting, until
from dspy_session_bots.tables import NARROWEST, broken, count, table

ROWS = 20
"""Conversations that are shown of a sink, those first that have waited longest."""


def show_lanes(console: Console, lanes: Sequence[LaneInfo], now: float) -> None:
    """Show lanes, sink by sink.

    Args:
        console: The screen.
        lanes: The lanes, the one with the oldest delivery first.
        now: The time, in seconds since 1970, UTC.
    """
    for place, (sink, group) in enumerate(groupby(sorted(lanes, key=lambda lane: lane.sink), lambda lane: lane.sink)):
        of_sink = list(group)
        waiting, parked = sum(lane.waiting for lane in of_sink), sum(lane.due_at is None for lane in of_sink)
        head = Text("\n" if place else "")
        head.append(harmless(sink), style="bold")
        console.print(head)
        summary = Text(f"waiting: {count(waiting, 'message')} of {count(len(of_sink), 'conversation')}", style="dim")
        summary.append(f", {parked:,} parked" if parked else "", style="not dim red")
        console.print(summary)
        rows = table(
            *("Conversation", "Waiting", "Oldest", "Tries", "Next try", "Last reason"),
            right=("Waiting", "Tries"),
            folded=("Last reason",),
        )
        key_width = max(NARROWEST, min(46, console.width - 70))
        for lane in of_sink[:ROWS]:
            rows.add_row(
                broken(lane.key, key_width),
                f"{lane.waiting:,}",
                lasting(max(now - lane.oldest_at, 0.0)),
                f"{lane.attempts:,}",
                Text("parked", style="red") if lane.due_at is None else until(lane.due_at, now),
                harmless(lane.reason),
            )
        console.print(rows)
        if len(of_sink) > ROWS:
            console.print(f"… and {count(len(of_sink) - ROWS, 'conversation')} more: --json shows all", style="dim")


def lane_to_json(lane: LaneInfo) -> dict[str, Any]:
    """A lane for programs."""
    return {
        "sink": lane.sink,
        "conversation": lane.key,
        "waiting": lane.waiting,
        "oldest_at": iso(lane.oldest_at),
        "attempts": lane.attempts,
        "next_try_at": None if lane.due_at is None else iso(lane.due_at),
        "parked": lane.due_at is None,
        "reason": lane.reason,
    }
