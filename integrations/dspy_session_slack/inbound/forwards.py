"""Messages that somebody forwards: Slack hangs them on the new message, whose own text says nothing of them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dspy_session_chat.markup.cleaning import clean_line
from dspy_session_slack.inbound.address import is_id
from dspy_session_slack.inbound.plaintext import mentions, plain_text, untold
from dspy_session_slack.unnamed import label_of, unnamed

LONGEST_NAME = 80
"""Characters of whoever wrote it that are told; Slack's own limit for names."""


def forwards(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What was forwarded with a message. What Slack shows of a link hangs on it too, and is not told."""
    hung = message.get("attachments")
    return [
        each for each in (hung if isinstance(hung, list) else ()) if isinstance(each, Mapping) and each.get("is_share")
    ]


def quoted(forward: Mapping[str, Any], names: Mapping[str, str]) -> str:
    r"""A forwarded message as a quotation; empty if it has no words.

    Args:
        forward: One of ``forwards``.
        names: What people call whoever wrote it and whoever is mentioned in it, by id.

    >>> quoted({"is_share": True, "author_name": "Ben", "text": "It is\nbroken."}, {})
    '> Forwarded message by Ben:\n> It is\n> broken.'
    """
    words = plain_text(_words(forward), names).strip()
    author, told = forward.get("author_id"), forward.get("author_name")
    name = label_of(clean_line(told, LONGEST_NAME)) if isinstance(told, str) else ""
    by = names.get(str(author)) or name or (unnamed(author) if is_id(author) else "somebody")
    lines = (f"Forwarded message by {by}:", *words.splitlines())
    return "\n".join(f"> {line}".rstrip() for line in lines) if words else ""


def named_in_forwards(message: Mapping[str, Any]) -> Iterator[str]:
    """The ids in what was forwarded that people know by name."""
    for forward in forwards(message):
        author, words = forward.get("author_id"), _words(forward)
        if is_id(author) and author[0] in "UW" and not forward.get("author_name"):
            yield author
        yield from mentions(words)
        yield from untold(words)


def _words(forward: Mapping[str, Any]) -> str:
    words = forward.get("text") or forward.get("fallback")
    return words if isinstance(words, str) else ""
