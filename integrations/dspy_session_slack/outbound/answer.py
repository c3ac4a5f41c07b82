"""An answer with all that belongs to it, as the Markdown of Slack messages."""

from __future__ import annotations

from dspy_session_chat.reply import Reply
from dspy_session_slack.outbound.saying import parts

FENCE = "```"


def answer_parts(reply: Reply, remark: str = "") -> list[str]:
    """What an answer says, in messages.

    Slack hides nothing behind a spoiler, and what an agent thought is no part of its answer: the reasoning is left out.

    Args:
        reply: The answer.
        remark: Markdown to be said at its end.
    """
    fields = "\n".join([FENCE, *_rows(reply.table), FENCE]) if reply.table else ""
    links = Reply("", links=reply.links).markdown
    return parts("\n\n".join(block for block in (reply.text.rstrip(), fields, links, remark) if block.strip()))


def _rows(table: tuple[tuple[str, str], ...]) -> list[str]:
    """Names and values in two columns: code keeps their shape, also where the answer has a table of its own."""
    width = max(len(_line(name)) for name, _ in table)
    return [f"{_line(name).ljust(width)} | {_line(value)}".rstrip() for name, value in table]


def _line(text: str) -> str:
    return " ".join(text.split()).replace(FENCE, "'''")
