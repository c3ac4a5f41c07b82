"""Long answers as posts: cut where a reader would pause, and every post complete in itself."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from dspy_session_chat.markup.fences import Code, Fence, opened_by, with_closed_code
from dspy_session_chat.markup.graphemes import Length, fitting, grapheme_ends
from dspy_session_chat.markup.outline import WHOLE, Outline, Rank, inside, outline

SMALLEST_LIMIT = 80
"""A post holds the two fences of a cut code block, 66 characters at most, and something between them."""

_FULL_ENOUGH = 0.5
"""A cut at a good place must leave this share of the limit filled, or a long answer becomes many small posts."""

_DEEP = 40
"""Characters of indentation that a post may begin with; more is white space like any other."""

_NEWLINE = re.compile(r"\r\n?")
_BLANK_LINES = re.compile(r"(?:[^\S\n]*\n)+")
_BLANK = re.compile(r"\s*")
_WORD = re.compile(r"\s")
_SENTENCE = re.compile(r"""(?<!\d)[.!?…]["'”’»)*_]{0,3}(?=\s+[^\sa-z])|[。！？][」』”’）]{0,2}""")  # noqa: RUF001

Spans = Sequence[tuple[int, int]]


def split(markdown: str, limit: int, *, length: Length = len) -> list[str]:
    """``markdown`` in posts, none of them blank; no posts when there is nothing to say.

    Text is cut between blocks, else lines or sentences, else words, else characters as people see them. Links, code
    within a line, mentions and emojis stay whole; so do lists, tables and code blocks that fit in a post. Code that is
    cut is closed at the end of the post and opened again, with its language, in the next; code that was never closed
    is closed. A table that is cut has its head in every post. White space at a cut goes; nothing else does.

    Args:
        markdown: An answer of any length.
        limit: The most that a post may measure.
        length: How a post is measured. Longer text never measures less, and no code point more than 14.

    Raises:
        ValueError: ``limit`` is less than ``SMALLEST_LIMIT``.
    """
    if limit < SMALLEST_LIMIT:
        raise ValueError(f"a post of {limit} characters cannot hold a code block; the least is {SMALLEST_LIMIT}")
    text = _NEWLINE.sub("\n", markdown).rstrip()
    if leading := _BLANK_LINES.match(text):
        text = text[leading.end() :]
    return list(_Cutter(outline(with_closed_code(text)), limit, length).posts())


@dataclass(frozen=True, slots=True)
class _Start:
    """Where a post begins.

    Args:
        place: In the text.
        head: What stands before it: a fence, a table's head or a quote mark.
        shift: Characters by which the lines that are indented move left.
        fence: The fence that ``head`` opens again.
    """

    place: int
    head: str = ""
    shift: int = 0
    fence: Fence | None = None


class _Cutter:
    """Takes one post after the other off a text."""

    def __init__(self, outline: Outline, limit: int, length: Length) -> None:
        self._outline = outline
        self._text = outline.text
        self._limit = limit
        self._length = length

    def posts(self) -> Iterator[str]:
        found = _BLANK.match(self._text)
        start = _Start(found.end() if found and found.end() > _DEEP else 0)
        while start.place < len(self._text):
            room = self._limit - self._length(start.head)
            end = fitting(self._text, start.place, room, self._length)
            if end == len(self._text):
                yield start.head + _outdented(self._text[start.place :], start)
                return
            cut = self._place_to_cut(start, end)
            code = self._outline.code_at(cut)
            body = self._text[start.place : cut].rstrip() + (f"\n{code.fence.closing}" if code else "")
            yield start.head + _outdented(body, start)
            start = self._after(cut, code)

    # Where a post ends

    def _place_to_cut(self, post: _Start, end: int) -> int:
        """Where ``post`` ends; all that fits ends at ``end``."""
        start, room = post.place, self._limit - self._length(post.head)
        least = max(end - int((len(post.head) + end - post.place) * _FULL_ENOUGH), start)
        reserve = max((self._length(code.fence.closing) + 1 for code in self._code(start, end)), default=0)
        end_in_code = fitting(self._text, start, room - reserve, self._length)
        if whole := self._before_a_whole(start, end):
            return whole
        first = start + len(self._text[start:end]) - len(self._text[start:end].lstrip()) + 1

        def fits(place: int) -> bool:
            return first <= place <= (end_in_code if self._outline.code_at(place) else end)

        for together in ((self._outline.rows, self._outline.spans), (self._outline.spans,), ()):
            place = self._best(least, end, fits, together) or self._anywhere(start, least, end, fits, together)
            if place:
                return place
        return end_in_code

    def _code(self, start: int, end: int) -> Sequence[Code]:
        """The code blocks that are partly between ``start`` and ``end``."""
        code = self._outline.code
        return code[
            bisect_right(code, start, key=lambda one: one.end) : bisect_left(code, end, key=lambda one: one.start)
        ]

    def _before_a_whole(self, start: int, end: int) -> int:
        """Where to cut when the list, table or code block at ``end`` had better begin the next post."""
        block = self._outline.block_at(end)
        if block is None or block.kind not in WHOLE or self._length(self._text[block.start : block.end]) > self._limit:
            return 0
        if self._length(self._text[block.announced : block.end]) <= self._limit and block.announced > start:
            return block.announced
        return block.start if block.start > start else 0

    def _best(self, least: int, end: int, fits: Callable[[int], bool], together: Sequence[Spans]) -> int:
        """The last of the best places to cut, ``least`` or more; 0 when there are none."""
        breaks = self._outline.breaks
        among = range(bisect_left(breaks, least), bisect_right(breaks, end))
        for rank in Rank:
            match rank:
                case Rank.SENTENCE:
                    ends = (found.end() for found in _SENTENCE.finditer(self._text, least, end + 2))
                    places = [place for place in ends if not self._outline.code_at(place)]
                case Rank.WORD:
                    places = [found.start() for found in _WORD.finditer(self._text, least, end + 1)]
                case _:
                    places = [breaks[number] for number in among if self._outline.ranks[number] is rank]
            for place in reversed(places):
                if fits(place) and not _torn(place, together) and self._is_between(place):
                    return place
        return 0

    def _anywhere(
        self, start: int, least: int, end: int, fits: Callable[[int], bool], together: Sequence[Spans]
    ) -> int:
        """The last place that cuts no character; 0 when there is none."""
        for place in reversed(grapheme_ends(self._text, start, end)):
            if fits(place) and not _torn(place, together):
                break
        else:
            return 0
        if place < least:
            # Something long comes next and goes into the next post: the word before it need not suffer.
            for found in reversed(list(_WORD.finditer(self._text, start, place + 1))):
                if fits(found.start()) and not _torn(found.start(), together):
                    return found.start()
        return place

    def _is_between(self, place: int) -> bool:
        """Whether ``place`` is between two graphemes."""
        if self._text[place] == "\n":
            return True
        return place in grapheme_ends(self._text, self._text.rfind("\n", 0, place) + 1, place)

    # Where the next one begins

    def _after(self, cut: int, code: Code | None) -> _Start:
        """What begins after the cut at ``cut``, inside of ``code``."""
        found = _BLANK.match(self._text, cut)
        place = found.end() if found else cut
        if code is not None and place >= code.outside:
            # The post before has closed it.
            return self._after(code.end, None)
        fresh = "\n" in self._text[cut:place] or cut == 0 or self._text[cut - 1] == "\n"
        if code is not None:
            head = code.fence.opening + "\n" + ("" if fresh else code.fence.quote)
            return self._line(place, head, code.fence) if fresh else _Start(place, head, code.fence.indent, code.fence)
        if not fresh:
            return _Start(place, self._outline.quote_at(place))
        head = self._outline.head_at(place)
        return self._line(place, f"{head}\n" if 0 < self._length(head) <= self._limit // 2 - 1 else "")

    def _line(self, place: int, head: str = "", fence: Fence | None = None) -> _Start:
        """The start at the beginning of the line whose first word is at ``place``."""
        begin = self._text.rfind("\n", 0, place) + 1
        begin = begin if place - begin <= _DEEP else place
        if fence is not None:
            return _Start(begin, head, fence.indent, fence)
        return _Start(begin, head, place - begin)


def _torn(place: int, together: Sequence[Spans]) -> bool:
    return any(inside(place, spans) for spans in together)


def _outdented(body: str, start: _Start) -> str:
    """``body`` moved left: what was nested in a list that the post before shows would be taken for code."""
    shift, fence = start.shift, start.fence
    if not shift:
        return body
    lines = []
    for line in body.split("\n"):
        indent = len(line) - len(line.lstrip())
        if fence is None and line.strip():
            shift = min(shift, indent)
            fence = opened_by(line)
        elif fence is not None and fence.is_closed_by(line):
            fence = None
        lines.append(line[min(shift, indent) :])
    return "\n".join(lines)
