"""The shortcut "Ask the bot about this" of a message: the modal with the question, and what it brings. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dspy_session_slack.inbound.address import BotUser, author_id, is_id, is_time
from dspy_session_slack.inbound.translate import author_of, text_of
from dspy_session_slack.key import thread_ts
from dspy_session_slack.outbound.mrkdwn import escape

SHORTCUT = "message_action"

ASK_ABOUT = "dspy-session:ask-about"
"""The callback id of the shortcut in the app's settings; it names our modal too, and in it the field."""

LABEL = "Ask the bot about this"
"""What people read in the menu of a message; Slack takes 24 characters."""

QUOTED = 1_000
"""Characters of the message that go with the question."""

METADATA = 3_000
"""Characters that travel with a modal."""

QUESTION = 3_000
"""Characters of the question."""

SECTION = 3_000
"""Characters of a section, the block that shows the message."""


@dataclass(frozen=True, slots=True)
class About:
    """The message that somebody asks about.

    Args:
        channel: Where it is.
        ts: Its id there.
        thread: The thread that it is in, or begins.
        author: What its author is called.
        text: What it says; shortened.
        respond: The address at which Slack takes words for whoever asks alone.
    """

    channel: str
    ts: str
    thread: str
    author: str
    text: str
    respond: str

    @property
    def quoted(self) -> str:
        """The message, for the agent to read."""
        said = "\n".join(f"> {line}" for line in self.text.split("\n"))
        return f"About this message by {self.author}:\n{said}" if self.text else f"About a message by {self.author}."


def about(body: Mapping[str, Any], bot: BotUser, names: Mapping[str, str]) -> About | None:
    """The message that our shortcut was used on; None if it was another shortcut, or is not well formed.

    Args:
        body: A ``message_action`` payload.
        bot: Whose shortcut it is.
        names: What people call the users and channels in the message, by id.
    """
    message, channel = _mapping(body.get("message")), _mapping(body.get("channel")).get("id")
    ts, respond = message.get("ts"), body.get("response_url")
    if body.get("callback_id") != ASK_ABOUT or not is_id(channel) or not is_time(ts) or not is_id(author_id(message)):
        return None
    thread = thread_ts(message) or ts
    text = message.get("text")
    return About(
        channel=channel,
        ts=ts,
        thread=thread if is_time(thread) else ts,
        author=author_of(message, bot, names).name,
        text=text_of(message, bot, names)[:QUOTED] if isinstance(text, str) else "",
        respond=respond if isinstance(respond, str) else "",
    )


def modal(message: About) -> dict[str, Any]:
    """The modal that asks for the question; the message travels with it."""
    quote = "\n".join(f"> {escape(line)}" for line in message.text.split("\n")) if message.text else "…"
    said = f"*{escape(message.author)}* wrote:\n{quote}"
    shown = {"type": "mrkdwn", "text": said[:SECTION], "verbatim": True}
    return {
        "type": "modal",
        "callback_id": ASK_ABOUT,
        "private_metadata": _metadata(message),
        "title": _plain("Ask the bot"),
        "submit": _plain("Ask"),
        "close": _plain("Cancel"),
        "blocks": [
            {"type": "section", "text": shown},
            {
                "type": "input",
                "block_id": ASK_ABOUT,
                "label": _plain("Your question"),
                "element": {
                    "type": "plain_text_input",
                    "action_id": ASK_ABOUT,
                    "multiline": True,
                    "max_length": QUESTION,
                    "focus_on_load": True,
                },
            },
        ],
    }


def asked(body: Mapping[str, Any]) -> tuple[About, str] | None:
    """What somebody asks, and about which message; None if this modal is none of ours, or not well formed.

    Args:
        body: A ``view_submission`` payload.
    """
    view = _mapping(body.get("view"))
    values = _mapping(_mapping(view.get("state")).get("values"))
    question = _mapping(_mapping(values.get(ASK_ABOUT)).get(ASK_ABOUT)).get("value")
    try:
        found = json.loads(view["private_metadata"])
    except (KeyError, ValueError, TypeError, RecursionError):
        return None
    if view.get("callback_id") != ASK_ABOUT or not isinstance(question, str) or not isinstance(found, list):
        return None
    if len(found) != len(About.__slots__) or not all(isinstance(part, str) for part in found):
        return None
    message = About(*found)
    if not (is_id(message.channel) and is_time(message.ts) and is_time(message.thread)):
        return None
    return message, question.strip()


def _metadata(message: About) -> str:
    written = ""
    for room in (QUOTED, QUOTED // 2, 0):  # a character may take six where it is written as JSON
        parts = [
            message.channel,
            message.ts,
            message.thread,
            message.author[:100],
            message.text[:room],
            message.respond,
        ]
        written = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
        if len(written) <= METADATA:
            break
    return written


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": True}
