"""How much of a growing answer can be said for good: a stream takes nothing back. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import takewhile

from dspy_session_chat.markup.fences import code_blocks
from dspy_session_chat.markup.unfinished import finished

_WORD = re.compile(r"(?<!\S)\S*[]<>@()\[:/|#!\\&]\S*\Z|(?<![\w-])[UWBCG][A-Z0-9]*\Z")
"""A last word that may still become more than a word: a mention, a link, somebody's id."""


def settled(text: str, polish: Callable[[str], str]) -> str:
    """The beginning of an answer that will not be another when more has come.

    What may still become a link, a tag or a table is held back. That goes by what is likely: whoever streams it has to
    see that what was said before still stands at its beginning.

    Args:
        text: The answer so far.
        polish: Makes of it what may be posted.
    """
    whole = _WORD.sub("", text)
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(whole, finished(whole), strict=False)))
    # A mark that is closed at the end stands before the blanks there.
    return polish(whole if not whole[same:].strip() else whole[:same])


def parted(text: str) -> tuple[str, str]:
    """What ends a message that ``text`` stands in, and what begins the next one, so that code is code in both."""
    open_code = [code for code in code_blocks(text) if not code.closed]
    if not open_code:
        return "", ""
    fence = open_code[-1].fence
    return f"{'' if text.endswith(chr(10)) else chr(10)}{fence.closing}", f"{fence.opening}\n"
