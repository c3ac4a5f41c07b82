"""Answers of more posts than anybody wants to scroll through: the first posts, and all of it as a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dspy_session_chat.markup.graphemes import Length
from dspy_session_chat.markup.split import SMALLEST_LIMIT, split

FILE_NAME = "answer.md"
"""The file's name."""

NOTICE = "_… The whole answer is in the file answer.md._"
"""Ends the last post; the underscores are italics in Markdown and in Slack's mrkdwn."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """An answer as it is sent.

    Args:
        posts: What is posted, in order.
        file: The text of ``FILE_NAME``: the whole answer, so that nobody has to put two halves together; empty when
            the posts hold all of it.
    """

    posts: tuple[str, ...]
    file: str = ""


def within(
    posts: Sequence[str], markdown: str, *, most: int, limit: int, notice: str = NOTICE, length: Length = len
) -> Delivery:
    """``posts`` if they are not too many, else the first of them and ``markdown`` as a file.

    Args:
        posts: The answer, split.
        markdown: The answer as the agent wrote it.
        most: Posts that an answer may have; at least 1.
        limit: The most that a post may measure.
        notice: Says at the end of the last post where the rest is.
        length: How a post is measured.

    Raises:
        ValueError: ``most`` is less than 1, or ``limit`` leaves no room beside ``notice``.
    """
    if most < 1:
        raise ValueError(f"an answer of at most {most} posts says nothing; the least is 1")
    if len(posts) <= most:
        return Delivery(tuple(posts))
    ending = f"\n\n{notice}"
    room = limit - length(ending)
    if room < SMALLEST_LIMIT:
        raise ValueError(f"a post of {limit} characters has no room for the notice; make it {limit - room} shorter")
    last = split(posts[most - 1], room, length=length)[0]
    return Delivery((*posts[: most - 1], last + ending), markdown)
