"""Fenced code in Markdown: where it stands, and how it is closed and begun again."""

from __future__ import annotations

import re
from dataclasses import dataclass

LONGEST_LANGUAGE = 20
"""Characters of a language that is repeated; a longer one is none."""

DEEPEST = 12
"""Characters of indentation or quote marks before a fence that are repeated; nobody nests deeper in earnest."""

_OPENING = re.compile(
    r"(?P<lead>[ \t]*+(?:>[ \t]?)*+)(?:[ \t]*+(?:[-*+]|\d{1,9}[.)])[ \t]++)?[ \t]*+"
    r"(?P<marks>`{3,8}(?!`)|~{3,8}(?!~))[ \t]*+(?P<info>[^\n]*)"
)
_LANGUAGE = re.compile(rf"[^\s`~]{{1,{LONGEST_LANGUAGE}}}(?=\s|\Z)")


@dataclass(frozen=True, slots=True)
class Fence:
    """The line that a code block begins with.

    Args:
        marks: Its backticks or tildes, three to eight.
        language: The first word after them; may be empty.
        quote: The quote marks before them; empty outside of a quote.
        indent: Characters before them, outside of a quote; a list item's marker counts.
    """

    marks: str
    language: str = ""
    quote: str = ""
    indent: int = 0

    @property
    def opening(self) -> str:
        """The line that begins the code again at the top of a post."""
        return f"{self.quote}{self.marks}{self.language}"

    @property
    def closing(self) -> str:
        """The line that ends the code where it was begun."""
        return f"{self.quote or ' ' * self.indent}{self.marks}"

    def is_closed_by(self, line: str) -> bool:
        """Whether ``line`` ends the code."""
        rest = line.lstrip(" \t>") if self.quote else line.lstrip(" \t")
        return rest.startswith(self.marks) and not rest.rstrip().strip(self.marks[0])

    def is_left_by(self, line: str) -> bool:
        """Whether the quote that the code stands in is over at ``line``, and the code with it."""
        return bool(self.quote) and not line.lstrip(" \t").startswith(">")


@dataclass(frozen=True, slots=True)
class Code:
    """A code block in a text, as offsets.

    Args:
        fence: How it begins.
        start: Of its first line.
        inside: Of the line after the fence; the end of the text when there is none.
        outside: Of the line that closes it; where the code ends when none does.
        end: Of the whole, without the line break.
        closed: Whether a line closes it.
    """

    fence: Fence
    start: int
    inside: int
    outside: int
    end: int
    closed: bool


def opened_by(line: str) -> Fence | None:
    """The fence that ``line`` is, if it begins a code block."""
    found = _OPENING.match(line)
    if found is None or (found["marks"][0] == "`" and "`" in found["info"]):
        return None
    language = _LANGUAGE.match(found["info"])
    quote = found["lead"] if ">" in found["lead"] else ""
    return Fence(
        marks=found["marks"],
        language=language[0] if language else "",
        quote=quote if len(quote) <= DEEPEST else "> ",
        indent=0 if quote else min(found.start("marks"), DEEPEST),
    )


def code_blocks(text: str) -> list[Code]:
    """The fenced code blocks of ``text``, in order; only those that nothing closes are not ``closed``."""
    found: list[Code] = []
    fence: Fence | None = None
    start = inside = place = before = 0
    for line in text.split("\n"):
        end = place + len(line)
        if fence is not None and fence.is_left_by(line):
            found.append(Code(fence, start, inside, before, before, closed=False))
            fence = None
        if fence is None:
            if fence := opened_by(line):
                start, inside = place, min(end + 1, len(text))
        elif fence.is_closed_by(line):
            found.append(Code(fence, start, inside, place, end, closed=True))
            fence = None
        place, before = end + 1, end
    if fence is not None:
        found.append(Code(fence, start, inside, len(text), len(text), closed=False))
    return found


def with_closed_code(text: str) -> str:
    """``text`` with a line that closes each code block that nothing closes."""
    for code in reversed(code_blocks(text)):
        if not code.closed:
            text = f"{text[: code.end]}\n{code.fence.closing}{text[code.end :]}"
    return text
