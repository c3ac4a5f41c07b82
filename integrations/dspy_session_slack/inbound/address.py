"""How an event reaches the bot: the rules by which it is spoken to, and what it does not hear at all."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard

from dspy_session_chat.inbound import Addressed
from dspy_session_slack.home import Home
from dspy_session_slack.inbound.plaintext import mentions
from dspy_session_slack.key import is_dm, thread_ts
from dspy_session_slack.setup.scopes import ASSISTANT
from dspy_session_slack.unnamed import SLACKBOT

Reason = Literal[
    "no message",
    "a join or other news about the channel",
    "our own message",
    "our own reaction",
    "not ours",
    "nothing was changed that people wrote",
    "not well formed",
]

_ID = re.compile(r"[A-Z][A-Z0-9]*")
_TS = re.compile(r"[0-9]{1,10}\.[0-9]{1,9}")

WRITTEN = (None, "file_share", "thread_broadcast", "me_message", "bot_message")
"""The subtypes under which people and bots write; every other one is news about a message or a channel."""


@dataclass(frozen=True, slots=True)
class BotUser:
    """Who the bot is in a workspace, as ``auth.test`` tells it.

    Args:
        team_id: The workspace.
        user_id: The user that people mention, ``"U…"``.
        bot_id: The integration that posts are marked with, ``"B…"``.
        name: The bot's handle.
        scopes: What its token is allowed; empty where Slack does not say.
        enterprise_id: The organisation that the workspace belongs to; empty for none.
        org_wide: Whether the app was installed for all workspaces of the organisation at once.
    """

    team_id: str
    user_id: str
    bot_id: str
    name: str
    scopes: frozenset[str] = frozenset()
    enterprise_id: str = ""
    org_wide: bool = False

    @property
    def threads_dms(self) -> bool:
        """Whether each message in a DM begins a thread: so Slack shows the DMs of agents, which have this scope."""
        return ASSISTANT in self.scopes

    @property
    def home(self) -> Home:
        """Where it is installed."""
        return Home(self.team_id, self.enterprise_id, self.org_wide)

    def wrote(self, message: Mapping[str, Any]) -> bool:
        """Whether a message is one of the bot's own."""
        return message.get("user") == self.user_id or bool(self.bot_id and message.get("bot_id") == self.bot_id)


@dataclass(frozen=True, slots=True)
class Ignored:
    """The event is nothing that the bot hears.

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
        ``"direct"`` or ``"mention"``; ``"thread"`` for a reply in a thread, which is for the bot only if it is in that
        thread; ``"ambient"`` for everything else that is said; or ``Ignored``.
    """
    if event.get("type") not in ("message", "app_mention"):
        return Ignored("no message")
    if bot.wrote(event):
        return Ignored("our own message")
    if event.get("subtype") not in WRITTEN:
        return Ignored("a join or other news about the channel")
    if not is_well_formed(event):
        return Ignored("not well formed")
    if is_dm(event):
        return "direct"
    if event["type"] == "app_mention" or bot.user_id in mentions(event.get("text") or ""):
        return "mention"
    return "ambient" if thread_ts(event) in (None, event["ts"]) else "thread"


def author_id(message: Mapping[str, Any]) -> Any:
    """Who wrote a message: a user, or the integration that has none (``"B…"``)."""
    return message.get("user") or message.get("bot_id")


def is_from_bot(message: Mapping[str, Any]) -> bool:
    """Whether a bot, an integration or Slack itself wrote a message."""
    return bool(message.get("bot_id")) or message.get("subtype") == "bot_message" or message.get("user") == SLACKBOT


def is_well_formed(message: Mapping[str, Any]) -> bool:
    """Whether a message has a place, an author, a time and a text, and each of them is what it should be."""
    return (
        is_id(message.get("channel"))
        and is_id(author_id(message))
        and is_time(message.get("ts"))
        and (message.get("thread_ts") is None or is_time(message["thread_ts"]))
        and isinstance(message.get("text") or "", str)
    )


def is_id(value: object) -> TypeGuard[str]:
    """Whether this is an id as Slack makes them: ``"C0GENERAL"``."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def is_time(value: object) -> TypeGuard[str]:
    """Whether this is a time as Slack writes them: ``"1700000000.000100"``."""
    return isinstance(value, str) and _TS.fullmatch(value) is not None
