"""The overhead of a turn against the length of the conversation, as a picture for README."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

_WIDTH, _HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 24, 56, 52
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #57606a; }
.title { font-size: 15px; font-weight: 600; fill: #24292f; }
.grid { stroke: #d0d7de; stroke-width: 1; }
.line { fill: none; stroke-width: 2.5; stroke-linejoin: round; }
.ours { stroke: #1a7f37; fill: #1a7f37; } .peer { stroke: #cf222e; fill: #cf222e; }
.label { stroke: none; font-weight: 600; }
@media (prefers-color-scheme: dark) {
text { fill: #9198a1; } .title { fill: #f0f6fc; } .grid { stroke: #3d444d; }
.ours { stroke: #3fb950; fill: #3fb950; } .peer { stroke: #f85149; fill: #f85149; }
}
"""


def overhead_svg(curves: Mapping[str, Mapping[int, float]]) -> str:
    """Both axes are logarithmic.

    Args:
        curves: For ``"ours"`` and ``"peer"``, seconds by turns.
    """
    return "\n".join(_lines({who: curve for who, curve in curves.items() if curve}))


def _lines(curves: Mapping[str, Mapping[int, float]]) -> Iterator[str]:
    names = {"ours": "dspy-session-kit", "peer": "dspy-session 0.1.2"}
    turns = sorted({length for curve in curves.values() for length in curve})
    figures = [figure for curve in curves.values() for figure in curve.values()]
    low = 10 ** math.floor(math.log10(min(figures)))
    high = 10 ** math.ceil(math.log10(max(figures)))

    def x(length: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * _share(length, turns[0], turns[-1])

    def y(figure: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * _share(figure, low, high)

    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">'
    yield "<title>What a session adds to a call, by the length of the conversation</title>"
    yield f"<style>{_STYLE}</style>"
    yield f'<text class="title" x="{_LEFT}" y="26">What a session adds to a call (window of 20 turns)</text>'
    for power in range(round(math.log10(low)), round(math.log10(high)) + 1):
        at = y(10**power)
        yield f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
        yield f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{_duration(power)}</text>'
    for length in turns:
        yield f'<text x="{x(length):.1f}" y="{_HEIGHT - _BOTTOM + 20}" text-anchor="middle">{length:,}</text>'
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    yield f'<text x="{middle}" y="{_HEIGHT - 10}" text-anchor="middle">turns in the conversation</text>'
    for who, curve in curves.items():
        points = [(x(length), y(figure)) for length, figure in sorted(curve.items())]
        path = " ".join(f"{left:.1f},{top:.1f}" for left, top in points)
        yield f'<polyline class="line {who}" style="fill:none" points="{path}"/>'
        for left, top in points:
            yield f'<circle class="{who}" cx="{left:.1f}" cy="{top:.1f}" r="3"/>'
        left, top = points[-3]  # further right a label would run into the lines of the grid
        yield f'<text class="label {who}" x="{left - 8:.1f}" y="{top - 10:.1f}" text-anchor="end">{names[who]}</text>'
    yield "</svg>\n"


def _share(figure: float, low: float, high: float) -> float:
    return (math.log10(figure) - math.log10(low)) / (math.log10(high) - math.log10(low))


def _duration(power: int) -> str:
    scale, unit = (1e-6, "µs") if power < -3 else (1e-3, "ms")
    return f"{10**power / scale:g} {unit}"
