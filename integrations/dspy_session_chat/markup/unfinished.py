"""An answer while it is written, as if it ended here: nothing is left open, nothing half is shown.

What comes next decides what a half link or a half table is, so it is held back for the moment or shown as its text.
Only the last block of a text can be unfinished; all that comes before it stays as it is.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass

from dspy_session_chat.markup.fences import Code, code_blocks

_ZERO_WIDTH_JOINER = "\u200d"
_FLAG_LETTERS = re.compile(r"[\U0001f1e6-\U0001f1ff]+\Z")

_BLOCK = re.compile(r"[ \t>]*+(?:#{1,6}[ \t]|(?:[-*+]|\d{1,9}[.)])[ \t])")
_MARKER = re.compile(r"[ \t>]*+(?:--?|[+*]|~~?|#{1,6}|[-*+][ \t]+\[[ xX]?)?[ \t]*+\Z")
_RULE = re.compile(r"[ \t>]*+([*_])(?:[ \t]*+\1){2,}[ \t]*+\Z")
_DELIMITER = re.compile(r"[ \t>]*+\|?[ \t]*+:?-++:?[ \t]*+(?:\|[ \t]*+:?-++:?[ \t]*+)*+\|?[ \t]*+\Z")
_HALF_DELIMITER = re.compile(r"[ \t>]*+[|:-][|: \t-]*+\Z")
_CELL_END = re.compile(r"(?<!\\)\|")

_HALF_TAG = re.compile(
    r"""<(?: [@\#:!][^<>\s`]*
           | /?[a-zA-Z][\w:./-]*(?:\s+[\w:-]+=(?:"[^"\n`]*"|'[^'\n`]*'))*(?:\s+(?:[\w:-]+=(?:"[^"\n`]*|'[^'\n`]*)?)?)?/?
           | https?://[^<>\s`]*
           | /?
         )\Z""",
    re.VERBOSE,
)

_LONGEST_LABEL = 300
"""Characters after a bracket that may still become a link's text."""

_DEEPEST = 20
"""Marks that are open at once; nobody nests deeper in earnest."""

_TICKS = re.compile("`+")
_TOKEN = re.compile(
    r"""
    \\.
    | (?P<ticks>`+)
    | <[^<>\s][^<>\n]*>
    | (?P<link>\]\((?:[^()\[\]\s]|\([^()\[\]\s]*+\))*+(?:[ ]+"[^"\]\n]*+")?\))
    | (?P<half>\]\([^()\[\]\s]*+(?:\([^()\[\]\s]*+\)?[^()\[\]\s]*+)*+(?:[ ]+(?:"[^"\]\n]*+"?)?)?\Z)
    | (?P<bracket>!?\[) | (?P<end>\])
    | https?://[^\s<>()\[\]*`~]*+
    | (?P<marks>\*+|_+|~~)
    | (?P<line>\n)
    """,
    re.VERBOSE,
)


def finished(text: str) -> str:
    """``text``, the beginning of an answer, so that it can be shown; a text that is complete comes back as it is.

    Args:
        text: Markdown of any length.
    """
    text = _without_half_a_character(text)
    blocks = code_blocks(text)
    if blocks and not blocks[-1].closed and blocks[-1].end == len(text):
        return _with_closed_code(text, blocks[-1])
    start = _last_block(text, min(blocks[-1].end + 1, len(text)) if blocks else 0)
    last = text[start:]
    shown = _without_half_a_table(last)
    if shown is None:
        shown = _without_a_bare_marker(_inline(_without_a_bare_marker(last)))
    if shown == last:
        return text
    return text[:start] + shown if shown.strip() else text[:start].rstrip()


def _without_half_a_character(text: str) -> str:
    """``text`` without the half of a surrogate pair, of a flag or of a family that it ends in."""
    if text[-1:] and "\ud800" <= text[-1] <= "\udbff":
        text = text[:-1]
    text = text.rstrip(_ZERO_WIDTH_JOINER)
    letters = _FLAG_LETTERS.search(text, max(0, len(text) - 64))
    return text[:-1] if letters and len(letters[0]) % 2 else text


def _with_closed_code(text: str, code: Code) -> str:
    """``text``, which ends in ``code``, with that closed; without it when nothing stands in it yet."""
    begun = text.rfind("\n") + 1
    line = text[begun:].strip(" \t>" if code.fence.quote else " \t")
    if begun >= code.inside and line and not line.strip(code.fence.marks[0]) and len(line) < len(code.fence.marks):
        text = text[:begun]
    content = text[code.inside :]
    if not content.strip(" \t\n>" if code.fence.quote else None):
        return text[: code.start].rstrip()
    return f"{text.rstrip(chr(10))}\n{code.fence.closing}"


def _last_block(text: str, first: int) -> int:
    """Where the last paragraph, list item, heading or table of ``text`` begins; not before ``first``."""
    start = end = len(text)
    while end >= first:
        begun = max(text.rfind("\n", first, end) + 1, first)
        line = text[begun:end]
        if not line.strip() and end < len(text):
            break
        start, end = begun, begun - 1
        if _BLOCK.match(line):
            break
    return start


# Tables


def _without_half_a_table(block: str) -> str | None:
    """``block`` without the row that has only begun, or without the head that nothing stands under yet.

    None when ``block`` holds no table.
    """
    lines = block.split("\n")
    last = lines[-1]
    for number in range(len(lines) - 1):
        head, below = lines[number : number + 2]
        if "|" not in head or "|" not in below or not _DELIMITER.match(below):
            continue
        if _cells(head) == _cells(below):
            begun = number + 2 < len(lines) and last.strip() and not _is_row(last, head)
            return "\n".join(lines[:-1]) if begun else block
        return "\n".join(lines[:number]) if number + 2 == len(lines) else None
    if _begins_with_a_bar(last):
        above = len(lines) > 1 and _begins_with_a_bar(lines[-2]) and _HALF_DELIMITER.match(last)
        return "\n".join(lines[: -2 if above else -1])
    if len(lines) > 1 and _begins_with_a_bar(lines[-2]) and (not last.strip() or _HALF_DELIMITER.match(last)):
        return "\n".join(lines[:-2])
    return None


def _begins_with_a_bar(line: str) -> bool:
    return line.lstrip(" \t>").startswith("|")


def _is_row(line: str, head: str) -> bool:
    """Whether ``line`` has all the cells of a table with this head."""
    ended = not head.rstrip().endswith("|") or (line.rstrip().endswith("|") and not line.rstrip().endswith("\\|"))
    return ended and _cells(line) >= _cells(head)


def _cells(line: str) -> int:
    bare = line.strip(" \t>").removeprefix("|")
    return len(_CELL_END.findall(bare)) + (not bare.endswith("|") or bare.endswith("\\|"))


# Within a line


@dataclass(slots=True)
class _Open:
    """Formatting that is not closed: ``count`` of a mark, which begin at ``place``."""

    mark: str
    count: int
    place: int


class _Inline:
    """What is open at the end of a block."""

    def __init__(self, block: str) -> None:
        self._block = block
        self._open: list[_Open] = []
        self._brackets: list[re.Match[str]] = []
        self._runs: dict[int, list[int]] = {}
        for run in _TICKS.finditer(block):
            self._runs.setdefault(len(run[0]), []).append(run.start())
        self._end = len(block)
        self._ticks = ""

    def shown(self) -> str:
        place = 0
        while token := _TOKEN.search(self._block, place):
            place = self._read(token)
            if place >= self._end:
                break
        cuts = [bracket.span() for bracket in self._brackets if self._end - bracket.end() <= _LONGEST_LABEL]
        if not cuts and not self._open and self._end == len(self._block) and not self._ticks:
            return self._block
        pieces, place = [], 0
        for start, end in cuts:
            pieces.append(self._block[place:start])
            place = max(place, end)
        text = ("".join(pieces) + self._block[place : self._end]).rstrip() + self._ticks
        for mark in reversed(self._open):
            place = mark.place - sum(end - start for start, end in cuts if start < mark.place)
            if len(text) <= place + mark.count:
                text = text[:place].rstrip()
            else:
                text = _without_an_escape(text).rstrip() + mark.mark * mark.count
        return text

    def _read(self, token: re.Match[str]) -> int:
        """Take one token in; where the next one is looked for."""
        match token.lastgroup:
            case "ticks":
                return self._code(token)
            case "bracket":
                self._brackets.append(token)
            case "link" | "end" if self._brackets:
                self._brackets.pop()
            case "half" if self._brackets:
                self._end = token.start()
            case "line":
                self._brackets.clear()
            case "marks":
                self._formatting(token)
        return token.end()

    def _code(self, token: re.Match[str]) -> int:
        runs = self._runs.get(len(token[0]), [])
        following = bisect_right(runs, token.start())
        if following < len(runs):
            return runs[following] + len(token[0])
        content = self._block[token.end() :].rstrip("`").rstrip()
        self._end = token.end() + len(content) if content.strip() else token.start()
        self._ticks = token[0] if content.strip() else ""
        return len(self._block)

    def _formatting(self, token: re.Match[str]) -> None:
        mark, count = token[0][0], len(token[0])
        before = self._block[token.start() - 1] if token.start() else "\n"
        after = self._block[token.end() : token.end() + 1]
        within = before.isascii() and before.isalnum()
        if count > 3 or (mark == "_" and within and after.isalnum()):
            return
        if not before.isspace():
            count = self._close(mark, count)
        if count and after and not after.isspace() and not within:
            if len(self._open) == _DEEPEST:
                return
            self._open.append(_Open(mark, count, token.end() - count))
        elif count and not after and (before.isspace() or before in "([{\"'" or (count > 1 and not within)):
            # Something is about to be formatted.
            self._end = token.end() - count

    def _close(self, mark: str, count: int) -> int:
        """Close what ``count`` marks close; how many of them are left."""
        while count and any(one.mark == mark for one in self._open):
            while self._open[-1].mark != mark:
                self._open.pop()
            closed = min(count, self._open[-1].count)
            count -= closed
            self._open[-1].count -= closed
            if not self._open[-1].count:
                self._open.pop()
        return count


def _inline(block: str) -> str:
    """``block`` with what is open in it closed, and without what is half there."""
    if _RULE.match(block, block.rfind("\n") + 1):
        return block
    tag = block.rfind("<")
    if tag >= 0 and _HALF_TAG.match(block, tag):
        block = block[:tag].rstrip()
    return _Inline(block).shown()


def _without_an_escape(text: str) -> str:
    """``text`` without the backslash at its end that would rob a mark after it of its meaning."""
    return text[:-1] if (len(text) - len(text.rstrip("\\"))) % 2 else text


def _without_a_bare_marker(block: str) -> str:
    """``block`` without the list marker or the like that nothing follows yet."""
    begun = block.rfind("\n") + 1
    return block[:begun].rstrip("\n") if block[begun:].strip() and _MARKER.match(block, begun) else block
