"""What a turn costs against the length of the conversation, as pictures for README."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_WIDTH, _HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 24, 56, 52
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #57606a; }
.title { font-size: 15px; font-weight: 600; fill: #24292f; }
.grid { stroke: #d0d7de; stroke-width: 1; }
.line { fill: none; stroke-width: 2.5; stroke-linejoin: round; }
.ours { stroke: #1a7f37; fill: #1a7f37; } .peer { stroke: #cf222e; fill: #cf222e; }
.raw { stroke: #6e7781; fill: #6e7781; } .other { stroke: #bc4c00; fill: #bc4c00; }
.third { stroke: #8250df; fill: #8250df; }
.label { stroke: none; font-weight: 600; }
@media (prefers-color-scheme: dark) {
text { fill: #9198a1; } .title { fill: #f0f6fc; } .grid { stroke: #3d444d; }
.ours { stroke: #3fb950; fill: #3fb950; } .peer { stroke: #f85149; fill: #f85149; }
.raw { stroke: #9198a1; fill: #9198a1; } .other { stroke: #db6d28; fill: #db6d28; }
.third { stroke: #a371f7; fill: #a371f7; }
}
"""


@dataclass(frozen=True)
class Curve:
    """How a curve looks.

    Args:
        name: What stands beside it.
        colour: One of the classes of the style.
        below: True when the name stands below it.
        at: The point that the name ends at, counted from the right. Further right than the third from the right it
            would run into the lines of the grid, unless it is short.
    """

    name: str
    colour: str
    below: bool = False
    at: int = 3


_OVERHEAD = {"ours": Curve("dspy-session-kit", "ours"), "peer": Curve("dspy-session 0.1.2", "peer")}
_APPEND = {
    "raw": Curve("sqlite3 in a thread", "raw", below=True, at=1),
    "ours": Curve("dspy-session-kit", "ours", below=True, at=4),
    "agents": Curve("OpenAI SQLiteSession", "other", at=1),
    "sqlalchemy": Curve("OpenAI SQLAlchemySession", "third", at=4),
    "langgraph": Curve("LangGraph AsyncSqliteSaver", "peer", at=2),
}


def overhead_svg(curves: Mapping[str, Mapping[int, float]]) -> str:
    """What a session adds to a call. Both axes are logarithmic.

    Args:
        curves: For ``"ours"`` and ``"peer"``, seconds by turns.
    """
    alt = "What a session adds to a call, by the length of the conversation"
    return _svg(curves, _OVERHEAD, alt, "What a session adds to a call (window of 20 turns)")


def append_svg(curves: Mapping[str, Mapping[int, float]]) -> str:
    """What one durable turn more takes. Both axes are logarithmic.

    Args:
        curves: By store, seconds by turns.
    """
    alt = "What one more durable turn takes in a SQLite file, by the length of the conversation"
    return _svg(curves, _APPEND, alt, "One more durable turn in a SQLite file")


def _svg(curves: Mapping[str, Mapping[int, float]], looks: Mapping[str, Curve], alt: str, title: str) -> str:
    drawn = {who: curve for who, curve in curves.items() if curve and all(curve.values())}
    return "\n".join(_lines(drawn, looks, alt, title))


def _lines(
    curves: Mapping[str, Mapping[int, float]], looks: Mapping[str, Curve], alt: str, title: str
) -> Iterator[str]:
    turns = sorted({length for curve in curves.values() for length in curve})
    figures = [figure for curve in curves.values() for figure in curve.values()]
    low = 10 ** math.floor(math.log10(min(figures)))
    high = 10 ** math.ceil(math.log10(max(figures)))

    def x(length: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * _share(length, turns[0], turns[-1])

    def y(figure: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * _share(figure, low, high)

    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">'
    yield f"<title>{alt}</title>"
    yield f"<style>{_STYLE}</style>"
    yield f'<text class="title" x="{_LEFT}" y="26">{title}</text>'
    for power in range(round(math.log10(low)), round(math.log10(high)) + 1):
        at = y(10**power)
        yield f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
        yield f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{_duration(power)}</text>'
    for length in turns:
        yield f'<text x="{x(length):.1f}" y="{_HEIGHT - _BOTTOM + 20}" text-anchor="middle">{length:,}</text>'
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    yield f'<text x="{middle}" y="{_HEIGHT - 10}" text-anchor="middle">turns in the conversation</text>'
    for who, curve in curves.items():
        look = looks[who]
        points = [(x(length), y(figure)) for length, figure in sorted(curve.items())]
        path = " ".join(f"{left:.1f},{top:.1f}" for left, top in points)
        yield f'<polyline class="line {look.colour}" style="fill:none" points="{path}"/>'
        for left, top in points:
            yield f'<circle class="{look.colour}" cx="{left:.1f}" cy="{top:.1f}" r="3"/>'
        left, top = points[-min(look.at, len(points))]
        top += 20 if look.below else -10
        yield f'<text class="label {look.colour}" x="{left - 8:.1f}" y="{top:.1f}" text-anchor="end">{look.name}</text>'
    yield "</svg>\n"


def _share(figure: float, low: float, high: float) -> float:
    return (math.log10(figure) - math.log10(low)) / (math.log10(high) - math.log10(low))


def _duration(power: int) -> str:
    scale, unit = (1e-6, "µs") if power < -3 else (1e-3, "ms")
    return f"{10**power / scale:g} {unit}"
