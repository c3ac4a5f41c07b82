"""Whose words stand where in what the agent reads, so that one's can be changed and all else stays. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from dspy_session.conversation.changing import Spans
from dspy_session_chat.inbound import Inbound
from dspy_session_chat.markup.cleaning import clean, clean_line
from dspy_session_chat.rules.manners import Manners

_BETWEEN = "\n\n"


def said(messages: Sequence[Inbound], manners: Manners) -> str:
    """The words of messages as the agent reads them, before they are cleaned.

    With several people, or by option, each one's words follow their name.
    """
    return _BETWEEN.join(f"{name}{one.text}" for name, one in _named(messages, manners))


def spans_of(messages: Sequence[Inbound], manners: Manners) -> Spans:
    """Where the words of each message stand in what the agent reads of ``said``, cleaned.

    Nothing where they are not the same in it as alone: cleaning takes what stands around them into account.
    """
    spans, text = {}, ""
    for name, one in _named(messages, manners):
        text += _BETWEEN if text else ""
        text += clean(name)
        start = len(text)
        text += clean(one.text)
        spans[one.event_id] = [start, len(text)]
    return spans if text == clean(said(messages, manners)) else {}


def spliced(text: str, spans: Spans, message_id: str, words: str) -> tuple[str, Spans] | None:
    """A text in which a message says something else, and where all words stand then; None if that is not known.

    Args:
        text: What the agent read.
        spans: Where the words of each message stand in it.
        message_id: The message.
        words: What it says now.
    """
    if message_id not in spans:
        return None
    start, end = spans[message_id]
    if not 0 <= start <= end <= len(text):
        return None
    words = clean(words)
    changed, longer = f"{text[:start]}{words}{text[end:]}", len(words) - (end - start)
    if clean(changed) != changed:
        return clean(changed), {}
    moved = {
        each: [first + longer * (first >= end and each != message_id), last + longer * (last >= end)]
        for each, (first, last) in spans.items()
    }
    return changed, moved


def _named(messages: Sequence[Inbound], manners: Manners) -> list[tuple[str, Inbound]]:
    named = manners.speakers == "prefix" or len({message.author.id for message in messages}) > 1
    return [(f"{clean_line(one.author.name)}: " if named else "", one) for one in messages if one.text.strip()]
