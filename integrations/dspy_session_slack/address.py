"""Whether an event is for the bot: the rules by which it speaks up, and by which it stays silent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dspy_session_chat.inbound import Addressed
from dspy_session_slack.key import is_dm, thread_ts
from dspy_session_slack.plaintext import addresses, mentions

Reason = Literal[
    "no message",
    "a change, a join or other news about the channel",
    "our own message",
    "another bot",
    "not well formed",
    "for someone else",
    "not for us",
]

SLACKBOT = "USLACKBOT"

_ID = re.compile(r"[A-Z][A-Z0-9]*")
_TS = re.compile(r"[0-9]{1,10}\.[0-9]{1,9}")

WRITTEN = (None, "file_share", "thread_broadcast")
"""The subtypes under which people write; every other one is news about a message or a channel."""


@dataclass(frozen=True, slots=True)
class BotUser:
    """Who the bot is in a workspace, as ``auth.test`` tells it.

    Args:
        team_id: The workspace.
        user_id: The user that people mention, ``"U…"``.
        bot_id: The integration that posts are marked with, ``"B…"``.
        name: The bot's handle.
    """

    team_id: str
    user_id: str
    bot_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """The event is not for the bot.

    Args:
        reason: Why.
    """

    reason: Reason


def address(event: Mapping[str, Any], bot: BotUser) -> Addressed | Ignored:
    """How ``event`` reaches the bot, or why it does not.

    Args:
        event: The event itself, not the body around it.
        bot: Who is listening.

    Returns:
        ``"direct"`` or ``"mention"``; ``"thread"`` for a reply in a thread that mentions nobody, which is for the bot
        only if it is in that thread; else ``Ignored``.
    """
    if event.get("type") not in ("message", "app_mention"):
        return Ignored("no message")
    if event.get("user") == bot.user_id or (bot.bot_id and event.get("bot_id") == bot.bot_id):
        return Ignored("our own message")
    # Two bots that answer one another never stop, so no bot is answered, whatever it says and whomever it mentions.
    if event.get("bot_id") or event.get("subtype") == "bot_message" or event.get("user") == SLACKBOT:
        return Ignored("another bot")
    if event.get("subtype") not in WRITTEN:
        return Ignored("a change, a join or other news about the channel")
    if not _is_well_formed(event):
        return Ignored("not well formed")
    return _addressed(event, bot)


def _addressed(event: Mapping[str, Any], bot: BotUser) -> Addressed | Ignored:
    if is_dm(event):
        return "direct"
    text = event.get("text") or ""
    if event["type"] == "app_mention" or bot.user_id in mentions(text):
        return "mention"
    if thread_ts(event) in (None, event["ts"]):
        return Ignored("not for us")
    # People who talk to one another in the bot's thread need not be interrupted.
    return Ignored("for someone else") if addresses(text) else "thread"


def _is_well_formed(event: Mapping[str, Any]) -> bool:
    place = all(isinstance(event.get(name), str) and _ID.fullmatch(event[name]) for name in ("channel", "user"))
    return (
        place
        and _is_time(event.get("ts"))
        and (event.get("thread_ts") is None or _is_time(event["thread_ts"]))
        and isinstance(event.get("text") or "", str)
    )


def _is_time(ts: object) -> bool:
    return isinstance(ts, str) and _TS.fullmatch(ts) is not None
