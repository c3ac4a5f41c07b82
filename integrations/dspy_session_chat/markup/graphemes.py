"""Text measured and cut in characters as people see them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import regex

Length = Callable[[str], int]
"""Measures text as a platform does: ``len`` counts code points."""

_GRAPHEME = regex.compile(r"\X")
_SPACE = re.compile(r"\s")

_LONGEST = 256
"""Code points after a place that are read to see whether it is inside a grapheme; a longer one is no character."""


def fitting(text: str, start: int, room: int, length: Length) -> int:
    """Where ``text`` from ``start`` on ends when it may measure ``room`` at most."""
    least, most = start, start + max(room, 0)
    while most < len(text) and length(text[start:most]) <= room:
        least, most = most, start + 2 * (most - start) + 1
    most = min(most, len(text))
    if length(text[start:most]) <= room:
        return most
    while most - least > 1:
        middle = (least + most) // 2
        if length(text[start:middle]) <= room:
            least = middle
        else:
            most = middle
    return least


def grapheme_ends(text: str, start: int, end: int) -> Sequence[int]:
    """The places after ``start`` and up to ``end`` that are between two graphemes, in order."""
    ahead = min(end + _LONGEST, len(text))
    # Text without "\r" that is ASCII has nothing to grow together.
    if "\r" not in text[start:ahead] and text[start:ahead].isascii():
        return range(start + 1, end + 1)
    ends = (found.end() for found in _GRAPHEME.finditer(text, start, ahead))
    return [place for place in ends if place <= end]


def shorten(text: str, limit: int, *, length: Length = len) -> str:
    """``text`` on one line and within ``limit``, ending in ``…`` when it was longer.

    Args:
        text: Plain text.
        limit: The most that it may measure, ``…`` included; at least 1.
        length: How it is measured.
    """
    line = " ".join(text.split())
    if length(line) <= limit:
        return line
    end = fitting(line, 0, limit - length("…"), length)
    spaces = [found.start() for found in _SPACE.finditer(line, end // 2, end + 1)]
    ends = spaces or grapheme_ends(line, 0, end) or [end]
    return line[: ends[-1]].rstrip() + "…"
