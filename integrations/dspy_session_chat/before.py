"""What was said in a place before the bot was called into it, as the history that a conversation begins with. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import dspy

from dspy_session_chat.fields import AgentFields
from dspy_session_chat.markup.cleaning import clean, clean_line
from dspy_session_chat.platform import Said

LONGEST = 4000
"""Characters of one message that are read back."""


def seed_of(said: Sequence[Said], fields: AgentFields) -> dspy.History | None:
    """Messages as a history of the agent's own fields; None when there are none.

    Its own answers stand where they stood; what people said between two of them is one message, each with their name.

    Args:
        said: The messages, oldest first.
        fields: The agent's fields.
    """
    reply = fields.reply or "reply"
    messages: list[dict[str, str]] = []
    words: list[str] = []
    for each in said:
        text = clean(each.text)[:LONGEST].strip()
        if not text:
            continue
        if not each.ours:
            words.append(f"{clean_line(each.author.name)}: {text}")
        elif words or not messages:
            messages.append({fields.message: "\n".join(words), reply: text})
            words = []
        else:  # a second message of one answer
            messages[-1][reply] += f"\n\n{text}"
    if words:
        messages.append({fields.message: "\n".join(words), reply: NOT_ASKED})
    return dspy.History(messages=messages) if messages else None


NOT_ASKED = "(I was not asked.)"
"""Stands for the answer to what was said among people: a history has two sides, and an empty one would be made up."""
