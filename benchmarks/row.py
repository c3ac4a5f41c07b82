"""One line of the table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

_UNITS = {
    "s": (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)),
    "B": (("MB", 1e6), ("KB", 1e3), ("B", 1.0)),
    "n": (("", 1.0),),
}

HEADINGS = ("work", "ours", "peer", "ratio", "target", "met")


@dataclass(frozen=True)
class Row:
    """What was measured, and what it must be.

    Args:
        work: What was done.
        unit: ``"s"``, ``"B"``, or ``"n"`` for what is counted.
        ours: Our figure, in that unit.
        peer: The figure to compare with; None if there was none to measure.
        peer_name: Whose figure that is.
        ratio: Ours by the peer's.
        limit: What ``counts`` may be at most; None where nothing is asked for.
        counts: Whether the limit is for our figure or for the ratio.
        note: More to say, shown below the table.
    """

    work: str
    unit: Literal["s", "B", "n"]
    ours: float
    peer: float | None = None
    peer_name: str = ""
    ratio: float | None = None
    limit: float | None = None
    counts: Literal["ours", "ratio"] = "ratio"
    note: str = ""

    @classmethod
    def of(
        cls, work: str, unit: Literal["s", "B", "n"], ours: Sequence[float], peer: Sequence[float], **more: Any
    ) -> Row:
        """A line from the figures of several rounds.

        The ratio is the median of the rounds' own: a machine that was slow for a while was slow for both of a round.
        """
        ratios = [one / other for one, other in zip(ours, peer, strict=False)]
        return cls(
            work, unit, median(ours), median(peer) if peer else None, ratio=median(ratios) if ratios else None, **more
        )

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none, or no peer to say."""
        figure = self.ours if self.counts == "ours" else self.ratio
        return None if self.limit is None or figure is None else figure <= self.limit

    def cells(self) -> tuple[str, ...]:
        """The line as text, in the order of ``HEADINGS``."""
        limit = self.limit
        target = "" if limit is None else f"≤ {_text(limit, self.unit) if self.counts == 'ours' else f'{limit:g}x'}"
        return (
            self.work,
            _text(self.ours, self.unit),
            "-" if self.peer is None else f"{_text(self.peer, self.unit)} {self.peer_name}".rstrip(),
            "-" if self.ratio is None else f"{self.ratio:.3g}x",
            target,
            {True: "yes", False: "NO", None: ""}[self.met],
        )


def table(rows: list[Row]) -> Iterator[str]:
    """The lines of the table, notes below."""
    lines = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    for place, line in enumerate(lines):
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        if place == 0:
            yield "  ".join("─" * width for width in widths)
    for row in rows:
        if row.note:
            yield f"· {row.work}: {row.note}"


def _text(figure: float, unit: str) -> str:
    name, size = next((scale for scale in _UNITS[unit] if figure >= scale[1]), _UNITS[unit][-1])
    return f"{figure / size:.3g} {name}".rstrip()
