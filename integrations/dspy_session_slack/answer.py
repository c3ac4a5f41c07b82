"""An answer with all that belongs to it, as the texts of Slack messages."""

from __future__ import annotations

from collections.abc import Iterator

from dspy_session_chat.reply import Reply
from dspy_session_slack.mrkdwn import Block, code_block, to_blocks
from dspy_session_slack.split import filled


def answer_texts(reply: Reply, remark: str = "") -> list[str]:
    """What an answer says, in messages.

    Slack hides nothing behind a spoiler, and what an agent thought is no part of its answer: the reasoning is left out.

    Args:
        reply: The answer.
        remark: Markdown to be said at its end.
    """
    return filled(_blocks(reply, remark))


def _blocks(reply: Reply, remark: str) -> Iterator[Block]:
    yield from to_blocks(reply.text)
    if reply.table:
        yield code_block(_rows(reply.table))
    yield from to_blocks(Reply("", links=reply.links).markdown)
    yield from to_blocks(remark)


def _rows(table: tuple[tuple[str, str], ...]) -> Iterator[str]:
    """Names and values in two columns: Slack has no tables, but code keeps its shape."""
    width = max(len(_line(name)) for name, _ in table)
    for name, value in table:
        yield f"{_line(name).ljust(width)} | {_line(value)}".rstrip()


def _line(text: str) -> str:
    return " ".join(text.split())
