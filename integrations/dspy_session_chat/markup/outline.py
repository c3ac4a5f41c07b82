"""What a Markdown text is made of: its blocks, the places where it may be cut, and what stays together."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from itertools import pairwise

from dspy_session_chat.markup.fences import DEEPEST, Code, code_blocks

LONGEST_LEAD_IN = 300
"""Characters of a paragraph ending in a colon that stays with what it announces."""

_HEADING = re.compile(r" {0,3}#{1,6}(?:[ \t]|$)")
_ITEM = re.compile(r"(?P<indent>[ \t]*)(?:[-*+]|(?P<number>\d{1,9})[.)])[ \t]+\S")
_RULE = re.compile(r"[ \t]*([-*_])[ \t]*(?:\1[ \t]*){2,}$")
_QUOTE = re.compile(r"[ \t]*(?:>[ \t]?)+")
_DELIMITER = re.compile(r"[ \t>]*+\|?[ \t]*+:?-++:?[ \t]*+(?:\|[ \t]*+:?-++:?[ \t]*+)*+\|?[ \t]*+$")

_TOGETHER = re.compile(
    r"""
    (?P<ticks>`+)(?!`)[^\n]{0,4000}?(?<!`)(?P=ticks)(?!`)               # code
    | `{2,}                                                             # what Discord takes for the end of code
    | !?\[(?:[^\[\]\n\\]|\\.|\[[^\[\]\n]*+\](?:\([^()\[\]\s]*+\))?)*+\] # a link, an image, an image that is a link
        (?:\((?:[^()\[\]\s]|\([^()\[\]\s]*+\))*+(?:[ ]+"[^"\]\n]*+")?\)|\[[^\[\]\n]*+\])?
    | <(?:https?://|mailto:)[^<>\n]*+>                                  # an address, also Slack's with its label
    | <[@#!:/\w][^<>\n]{0,100}>                                         # a mention, an emoji, a tag
    | https?://[^\s<>()\[\]]*+(?:\([^\s<>()\[\]]*+\)[^\s<>()\[\]]*+)*+  # a bare address
    | (?<![\w:]):[\w+-]{1,60}:                                          # an emoji by name
    | \*\*[^*\n\[\]<`]{1,200}\*\* | ~~[^~\n\[\]<`]{1,200}~~             # formatting that would be left open
    | (?<![\w*])\*[^\s*\[\]<`][^*\n\[\]<`]{0,200}\*(?![\w*])
    """,
    re.VERBOSE,
)


class Rank(IntEnum):
    """How good a place to cut is, the best first."""

    BLOCK = 0
    ITEM = 1
    LINE = 2
    SENTENCE = 3
    CODE_GAP = 4
    CODE_LINE = 5
    WORD = 6


class Kind(Enum):
    """What a block is."""

    TEXT = "text"
    HEADING = "heading"
    QUOTE = "quote"
    LIST = "list"
    TABLE = "table"
    CODE = "code"


WHOLE = frozenset({Kind.LIST, Kind.TABLE, Kind.CODE})
"""Blocks that begin a post of their own sooner than being cut."""


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of the text, without the line break after it.

    Args:
        kind: What it is.
        start: Where its first line begins.
        end: Where its last line ends.
        announced: Where the heading or the sentence that leads to it begins; its own start when there is none.
    """

    kind: Kind
    start: int
    end: int
    announced: int


@dataclass(frozen=True, slots=True)
class Outline:
    """A text and what it is made of, all as offsets and in order.

    Args:
        text: The text; it closes every code block that it opens.
        blocks: Its blocks.
        code: Its code blocks, also those within lists.
        breaks: The ends of lines, but blank ones, where it may be cut.
        ranks: How good each of ``breaks`` is.
        rows: Lines that stay together: the rows of tables, the first lines of code.
        spans: Within lines: links, code, mentions, formatting.
    """

    text: str
    blocks: Sequence[Block]
    code: Sequence[Code]
    breaks: Sequence[int]
    ranks: Sequence[Rank]
    rows: Sequence[tuple[int, int]]
    spans: Sequence[tuple[int, int]]

    def block_at(self, place: int) -> Block | None:
        """The block that ``place`` is inside of."""
        number = bisect_left(self.blocks, place, key=lambda block: block.start) - 1
        return self.blocks[number] if number >= 0 and place < self.blocks[number].end else None

    def code_at(self, place: int) -> Code | None:
        """The code block that ``place`` is inside of."""
        number = bisect_left(self.code, place, key=lambda code: code.start) - 1
        return self.code[number] if number >= 0 and place < self.code[number].end else None

    def head_at(self, place: int) -> str:
        """The two lines that a table's row at ``place`` stands under; empty when none begins there."""
        block = self.block_at(place)
        if block is None or block.kind is not Kind.TABLE:
            return ""
        head = "\n".join(self.text[block.start : block.end].split("\n", 2)[:2])
        return head if place > block.start + len(head) else ""

    def quote_at(self, place: int) -> str:
        """The quote marks of the line that ``place`` is inside of."""
        start = self.text.rfind("\n", 0, place) + 1
        found = _QUOTE.match(self.text, start, place)
        return found[0] if found is not None and len(found[0]) <= DEEPEST else ""


def inside(place: int, spans: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    """The one of ``spans`` that a cut at ``place`` would go through."""
    number = bisect_left(spans, (place, 0)) - 1
    return spans[number] if number >= 0 and place < spans[number][1] else None


def outline(text: str) -> Outline:
    """What ``text`` is made of; each of its code blocks is closed."""
    code = code_blocks(text)
    reader = _Reader(text, code)
    for start, end in _lines(text):
        reader.read(start, end)
    reader.finish()
    spans = [found.span() for start, end in _between(code, len(text)) for found in _TOGETHER.finditer(text, start, end)]
    return Outline(text, reader.blocks, code, reader.breaks, reader.ranks, sorted(reader.rows), spans)


def _lines(text: str) -> Iterator[tuple[int, int]]:
    place = 0
    for line in text.split("\n"):
        yield place, place + len(line)
        place += len(line) + 1


def _between(code: Sequence[Code], end: int) -> Iterator[tuple[int, int]]:
    """What is not code."""
    for (_, start), (stop, _) in pairwise([(0, 0), *((block.start, block.end) for block in code), (end, end)]):
        yield start, stop


class _Reader:
    """Goes through a text line by line."""

    def __init__(self, text: str, code: Sequence[Code]) -> None:
        self.blocks: list[Block] = []
        self.breaks: list[int] = []
        self.ranks: list[Rank] = []
        self.rows: list[tuple[int, int]] = []
        self._text = text
        self._code = code
        self._kind: Kind | None = None
        self._start = 0
        self._announced = 0
        self._indent = 0
        self._head = 0  # lines still to come that stay with a table's first
        self._end = 0
        self._gap = False

    def read(self, start: int, end: int) -> None:
        line = self._text[start:end]
        if not line.strip():
            self._gap = True
            return
        number = bisect_right(self._code, start, key=lambda code: code.start) - 1
        code = self._code[number] if number >= 0 and start <= self._code[number].end else None
        if code is not None and start > code.start:
            self._within(code, start, end)
        else:
            self._outside(self._kind_of(line, start, end, code), line, start, end)
            if code is not None:
                content = self._text[code.inside : code.outside]
                blank = len(content) - len(content.lstrip())
                self.rows.append((code.start, min(code.inside + blank + 1, code.outside)))
        self._end, self._gap = end, False

    def finish(self) -> None:
        if self._kind is not None:
            self.blocks.append(Block(self._kind, self._start, self._end, self._announced))
            self._kind = None

    def _within(self, code: Code, start: int, end: int) -> None:
        if start >= code.outside:
            # A cut before the closing line would leave it to the next post.
            self.rows.append((max(code.outside - 1, code.inside), code.end))
        elif self._end > code.inside:
            self._may_break(Rank.CODE_GAP if self._gap else Rank.CODE_LINE)

    def _outside(self, kind: Kind, line: str, start: int, end: int) -> None:
        if not self._goes_on(kind, line):
            self._begin(kind, line, start, end)
        elif self._kind is Kind.TABLE:
            self._row(start, end)
        else:
            item = _ITEM.match(line)
            top = self._kind is Kind.LIST and item is not None and len(item["indent"]) <= self._indent
            self._may_break(Rank.ITEM if top else Rank.LINE)

    def _goes_on(self, kind: Kind, line: str) -> bool:
        """Whether a line of this kind belongs to the block before it."""
        match self._kind:
            case Kind.LIST:
                return line[0] in " \t" or kind is Kind.LIST or (kind is Kind.TEXT and not self._gap)
            case Kind.TABLE:
                return not self._gap and "|" in line and kind in (Kind.TEXT, Kind.TABLE, Kind.QUOTE)
            case Kind.QUOTE | Kind.TEXT:
                return not self._gap and kind in (Kind.TEXT, self._kind)
            case _:
                return False

    def _begin(self, kind: Kind, line: str, start: int, end: int) -> None:
        leads = self._leads_to(kind)
        announced = self._announced if leads else start
        self.finish()
        if self._end:
            self._may_break(Rank.LINE if leads else Rank.BLOCK)
        self._kind, self._start, self._announced = kind, start, announced
        if kind is Kind.LIST:
            self._indent = len(line) - len(line.lstrip())
        if kind is Kind.TABLE:
            self._head = 2
            self._row(start, end)

    def _row(self, start: int, end: int) -> None:
        """A table's head, the line under it and the first row are one."""
        if start > self._start and self._head:
            self._head -= 1
            self.rows[-1] = (self._start, end)
            return
        if start > self._start:
            self._may_break(Rank.ITEM)
        self.rows.append((start, end))

    def _leads_to(self, kind: Kind) -> bool:
        if self._kind is Kind.HEADING:
            return True
        announces = self._kind is Kind.TEXT and self._end - self._start <= LONGEST_LEAD_IN
        return (
            announces and kind in WHOLE and self._text[: self._end].rstrip("*_ ").endswith((":", "\N{FULLWIDTH COLON}"))
        )

    def _may_break(self, rank: Rank) -> None:
        self.breaks.append(self._end)
        self.ranks.append(rank)

    def _kind_of(self, line: str, start: int, end: int, code: Code | None) -> Kind:
        if code is not None:
            return Kind.LIST if _ITEM.match(line) else Kind.CODE
        if _HEADING.match(line):
            return Kind.HEADING
        item = _ITEM.match(line)
        if item and not _RULE.match(line):
            # "… in\n2019. It" is no list.
            told = self._kind is Kind.TEXT and not self._gap and item["number"] not in (None, "1")
            return Kind.TEXT if told else Kind.LIST
        if "|" in line and self._kind is not Kind.TABLE and self._is_head(end):
            return Kind.TABLE
        return Kind.QUOTE if _QUOTE.match(line) else Kind.TEXT

    def _is_head(self, end: int) -> bool:
        following = self._text.find("\n", end + 1)
        below = self._text[end + 1 : following if following >= 0 else len(self._text)]
        return "|" in below and _DELIMITER.match(below) is not None
