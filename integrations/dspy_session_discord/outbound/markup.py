"""Text for Discord: what it takes for a message, measured as it measures."""

from __future__ import annotations

from dspy_session_chat.markup.graphemes import shorten as shorten_to
from dspy_session_chat.markup.split import split as split_to

MESSAGE_LIMIT = 2000
"""Characters in one message; Discord refuses more with error 50035."""


def split(text: str, limit: int = MESSAGE_LIMIT) -> list[str]:
    """``text`` in parts that Discord takes, none of them blank; no parts when there is nothing to say.

    Args:
        text: Markdown of any length.
        limit: Longest part, counted in UTF-16 code units: the strictest reading of what Discord calls characters.

    Raises:
        ValueError: ``limit`` is too small for a code block.
    """
    return split_to(sound(text), limit, length=length)


def length(text: str) -> int:
    """Characters as Discord may count them: UTF-16 code units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def sound(text: str) -> str:
    """``text`` with U+FFFD for each half of a surrogate pair, which no request can carry."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def shorten(text: str, limit: int) -> str:
    """``text`` on one line and within ``limit``, ending in ``…`` when it was longer."""
    return shorten_to(sound(text), limit, length=length)
