"""How a message is said to Slack: as Markdown that Slack renders, else in its own markup. Pure.

Slack may not take what it takes elsewhere: an older workspace has no Markdown block, and not every place the buttons
for feedback. So there are several ways, the best first, and the words never depend on what stands beneath them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dspy_session_chat.markup.split import split
from dspy_session_chat.reply import Button
from dspy_session_slack.outbound.buttons import CONTEXT, actions, with_feedback
from dspy_session_slack.outbound.harmless import harmless
from dspy_session_slack.outbound.mrkdwn import escape
from dspy_session_slack.outbound.split import to_messages
from dspy_session_slack.outbound.tables import shaped

LIMIT = 6_000
"""Characters of a message, escaped. Slack takes 12,000 in Markdown blocks and some 13,000 in all blocks; but in its own
markup the same words may be longer, and a message that is being written is sent anew with each edit."""

LEAST = 500
"""Characters of a message that Slack cannot find too long."""

MARKDOWN = "markdown"

NOTHING_YET = "…"
"""Stands in a message that has nothing to say yet: Slack takes none that is empty."""

_UNSUPPORTED = re.compile(r"unsupported type: (\w+)")


@dataclass(frozen=True, slots=True)
class Saying:
    """One way to say a message.

    Args:
        text: What it says, in mrkdwn, for notifications, and where there are no blocks.
        blocks: What people see; none for the text itself.
    """

    text: str
    blocks: list[dict[str, Any]]


def parts(markdown: str) -> list[str]:
    """Markdown in as many messages as it needs; none for an empty answer."""
    return [part for part in split(markdown, LIMIT, length=lambda text: len(escape(text))) if part.strip()]


def shorter(part: str) -> list[str]:
    """A message that Slack finds too long in several; none if it is as short as can be."""
    return split(part, max(LEAST, len(part) // 2)) if len(part) > LEAST else []


def sayings(
    part: str, buttons: Sequence[Button] = (), names: Mapping[str, str] | None = None, lacks: Collection[str] = ()
) -> Iterator[Saying]:
    """The ways to say a message, the best first.

    Args:
        part: What it says, Markdown.
        buttons: What stands beneath.
        names: What people call the users and channels that it would mention, by id.
        lacks: The types of blocks that Slack does not take.
    """
    words = harmless(part, names) if part.strip() else NOTHING_YET
    texts = to_messages(words) or [NOTHING_YET]
    markdown = {"type": MARKDOWN, "text": shaped(words)}
    sections = [_section(text) for text in texts]
    below, plain = with_feedback(buttons), actions(buttons)
    if MARKDOWN not in lacks:
        if CONTEXT not in lacks and below != plain:
            yield Saying(texts[0], [markdown, *below])
        yield Saying(texts[0], [markdown, *plain])
    if plain:
        yield Saying(texts[0], [*sections, *plain])
    # Without blocks a message is as long as a text may be in an edit.
    yield Saying(texts[0], [] if len(texts) == 1 else sections)


def unsupported(answer: Mapping[str, Any]) -> set[str]:
    """The types of blocks that Slack says it does not know, in its refusal."""
    metadata = answer.get("response_metadata")
    messages = metadata.get("messages") if isinstance(metadata, Mapping) else None
    found = [_UNSUPPORTED.search(str(each)) for each in messages or ()]
    return {each[1] for each in found if each} & {MARKDOWN, CONTEXT}


def _section(text: str) -> dict[str, Any]:
    # Verbatim, or Slack makes a mention of every @name and a link of every word with a dot in it.
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}, "expand": True}
