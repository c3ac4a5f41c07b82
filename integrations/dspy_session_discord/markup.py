"""Text for Discord: cut to its message length at the best place there is, code blocks kept whole."""

from __future__ import annotations

import re
from collections.abc import Iterator
from unicodedata import category

MESSAGE_LIMIT = 2000
"""Characters in one message; Discord refuses more with error 50035."""

SMALLEST_LIMIT = 80
"""A part holds the two fences of a cut code block, 50 characters at most, and something between them."""

_OPENING = re.compile(r"^[ \t]*(?P<fence>(?P<ticks>`{3,8})(?:[\w+\-.#]{0,32}(?=\n|\Z))?)", re.MULTILINE)
_PARAGRAPH = re.compile(r"\n[^\S\n]*\n")
_LINE = re.compile(r"\n")
_WORD = re.compile(r"\s")

_FULL_ENOUGH = 0.5
"""A cut at a good place must leave this share of the limit filled, or a long answer becomes many small messages."""

_ZERO_WIDTH_JOINER = "\u200d"
_SKIN_TONES = re.compile("[\U0001f3fb-\U0001f3ff]")
_FLAG_LETTERS = re.compile("[\U0001f1e6-\U0001f1ff]")
_TAGS = re.compile("[\U000e0020-\U000e007f]")


def split(text: str, limit: int = MESSAGE_LIMIT) -> list[str]:
    """``text`` in parts that Discord takes, none of them blank; no parts when there is nothing to say.

    Text is cut between paragraphs, else lines, else words, else characters as people see them. A code block that is
    cut is closed at the end of the part and opened again, with its language, in the next; one that was never closed
    is closed. White space at a cut goes; nothing else does.

    Args:
        text: Markdown of any length.
        limit: Longest part, counted in UTF-16 code units: the strictest reading of what Discord calls characters.

    Raises:
        ValueError: ``limit`` is less than ``SMALLEST_LIMIT``.
    """
    if limit < SMALLEST_LIMIT:
        raise ValueError(f"a part of {limit} characters cannot hold a code block; the least is {SMALLEST_LIMIT}")
    rest = sound(text).strip()
    if unclosed := _open_fence(rest):
        rest = f"{rest}\n{_closing(unclosed)}"
    parts: list[str] = []
    fence = ""
    while rest:
        head = f"{fence}\n" if fence else ""
        if _fitting(rest, limit - length(head)) == len(rest):
            parts.append(head + rest)
            break
        cut = _place_to_cut(head, rest, limit)
        body, rest = rest[:cut].rstrip(), rest[cut:]
        fence = _open_fence(head + body)
        if body:
            parts.append(f"{head}{body}\n{_closing(fence)}" if fence else head + body)
        rest, fence = _after_the_cut(rest, fence)
    return parts


def length(text: str) -> int:
    """Characters as Discord may count them: UTF-16 code units."""
    return len(text) + sum(character > "\uffff" for character in text)


def sound(text: str) -> str:
    """``text`` with U+FFFD for each half of a surrogate pair, which no request can carry."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def shorten(text: str, limit: int) -> str:
    """``text`` on one line and within ``limit``, ending in ``…`` when it was longer."""
    line = " ".join(sound(text).split())
    if length(line) <= limit:
        return line
    return line[: _place_to_cut("", line, limit - 1)].rstrip() + "…"


def _place_to_cut(head: str, rest: str, limit: int) -> int:
    """How many characters of ``rest`` go into the part that begins with ``head``."""
    window = _fitting(rest, limit - length(head))
    reserve = max((len(opening["ticks"]) + 1 for opening in _OPENING.finditer(head + rest[:window])), default=0)
    window = _fitting(rest, limit - length(head) - reserve)

    def outside_code(place: int) -> bool:
        return not _open_fence(head + rest[:place])

    def anywhere(place: int) -> bool:
        # A part that ends in an opening fence would show an empty code block.
        fence = _open_fence(head + rest[:place])
        return not fence or not (head + rest[:place]).rstrip().endswith(fence)

    for boundary, fits in (
        (_PARAGRAPH, outside_code),
        (_LINE, outside_code),
        (_PARAGRAPH, anywhere),
        (_LINE, anywhere),
        (_WORD, anywhere),
    ):
        for place in _last_first(boundary, rest, window):
            if fits(place):
                return place
    for place in range(window, window // 2, -1):
        if not _grown_together(rest[place - 1], rest[place]):
            return place
    return window


def _last_first(boundary: re.Pattern[str], text: str, window: int) -> Iterator[int]:
    places = [found.start() for found in boundary.finditer(text, 0, window + 2)]
    return (place for place in reversed(places) if window * _FULL_ENOUGH <= place <= window)


def _fitting(text: str, room: int) -> int:
    """How many characters of ``text`` have a length of ``room`` at most."""
    if text[:room].isascii():
        return min(len(text), room)
    used = 0
    for count, character in enumerate(text):
        used += length(character)
        if used > room:
            return count
    return len(text)


def _grown_together(before: str, after: str) -> bool:
    """Whether people see these two code points as one character, or Discord as one fence."""
    return (
        category(after).startswith("M")
        or _ZERO_WIDTH_JOINER in (before, after)
        or before == after == "`"
        or _SKIN_TONES.match(after) is not None
        or _TAGS.match(after) is not None
        or (_FLAG_LETTERS.match(before) is not None and _FLAG_LETTERS.match(after) is not None)
    )


def _open_fence(text: str) -> str:
    """The fence, with its language, of the code block that ``text`` ends in; empty outside of one."""
    place = 0
    while opening := _OPENING.search(text, place):
        place = text.find(opening["ticks"], opening.end())
        if place < 0:
            return opening["fence"]
        place += len(opening["ticks"])
    return ""


def _closing(fence: str) -> str:
    return fence[: len(fence) - len(fence.lstrip("`"))]


def _after_the_cut(rest: str, fence: str) -> tuple[str, str]:
    """What is left, and the fence it stands in: a code block that ends right after the cut is not opened again."""
    if not fence:
        return rest.strip(), ""
    closing = _closing(fence)
    if rest.lstrip().startswith(closing):
        return rest.lstrip()[len(closing) :].strip(), ""
    return rest.lstrip("\n").rstrip(), fence
