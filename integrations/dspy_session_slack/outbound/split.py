"""Markdown of any length in Slack's own markup, in sections: broken between paragraphs, else lines, else words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from dspy_session_slack.outbound.mrkdwn import Block, to_blocks

LIMIT = 3_000
"""Characters of one section."""

T = TypeVar("T")

FENCE = "```"
QUOTE = "> "


def to_messages(markdown: str, limit: int = LIMIT) -> list[str]:
    """``markdown`` as the texts of sections, in order; none for an empty answer.

    Args:
        markdown: The answer.
        limit: Characters that one message may have; at least 3,000, so that the longest link has room.
    """
    return filled(to_blocks(markdown), limit)


def filled(blocks: Iterable[Block], limit: int = LIMIT) -> list[str]:
    """``blocks`` as the texts of messages, in order.

    Args:
        blocks: An answer's.
        limit: Characters that one message may have; at least 3,000.
    """
    pages = _Pages(limit)
    for block in blocks:
        pages.add(block)
    return pages.texts()


class _Pages:
    """Messages while they are filled, block by block."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pages: list[str] = [""]

    def add(self, block: Block) -> None:
        """Add a block whole where it fits, else from the top of a new message, else broken over several."""
        whole = _rendered(block, block.lines)
        if not whole.strip():
            return
        gap = "\n" if block.tight else "\n\n"
        if self._fits(gap + whole):
            self._append(gap, whole)
            return
        self._turn()
        if self._fits(whole):
            self._append("", whole)
            return
        for lines in _broken(block, self._limit):
            self._turn()
            self._append("", _rendered(block, lines))

    def texts(self) -> list[str]:
        return [page for page in self._pages if page]

    def _fits(self, text: str) -> bool:
        return len(self._pages[-1]) + len(text) <= self._limit

    def _append(self, gap: str, text: str) -> None:
        self._pages[-1] += (gap if self._pages[-1] else "") + text

    def _turn(self) -> None:
        if self._pages[-1]:
            self._pages.append("")


Lines = Sequence[Sequence[str]]


def _rendered(block: Block, lines: Lines) -> str:
    texts = ["".join(line).rstrip() for line in lines]
    if block.code:
        return "\n".join([FENCE, *texts, FENCE])
    return "\n".join(f"{QUOTE}{text}" if block.quoted else text for text in texts)


def _broken(block: Block, limit: int) -> list[list[list[str]]]:
    """The lines of ``block`` in portions that fit a message each; lines stay whole where they can."""
    room = limit - len(_rendered(replace(block, quoted=False), []))
    line_break = len("\n") + (len(QUOTE) if block.quoted else 0)
    lines = [short for line in block.lines for short in _packed(line, len, room - line_break)]
    return _packed(lines, lambda line: sum(map(len, line)) + line_break, room)


def _packed(things: Iterable[T], size: Callable[[T], int], room: int) -> list[list[T]]:
    """``things`` in order, as many together as there is room for."""
    packs: list[list[T]] = [[]]
    left = room
    for thing in things:
        if packs[-1] and size(thing) > left:
            packs.append([])
            left = room
        packs[-1].append(thing)
        left -= size(thing)
    return packs
