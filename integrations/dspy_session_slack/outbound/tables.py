"""Tables in Markdown for Slack, which shows one in a message; several keep their shape as code. Pure."""

from __future__ import annotations

from dspy_session_slack.outbound.mrkdwn import table_spans

MOST = 1
"""Tables that Slack takes in one message."""

_FENCE = "```"


def shaped(markdown: str) -> str:
    """``markdown`` with tables that Slack takes: if there are more than one, each is a piece of code."""
    found = table_spans(markdown) if "|" in markdown else []
    if len(found) <= MOST:
        return markdown
    lines = markdown.split("\n")
    for start, end, rows in reversed(found):
        lines[start:end] = ["", _FENCE, *(row.replace(_FENCE, "'''") for row in rows), _FENCE, ""]
    return "\n".join(lines)
