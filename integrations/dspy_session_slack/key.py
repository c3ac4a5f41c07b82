"""Which conversation a Slack event belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dspy_session.conversation.key import ConversationKey
from dspy_session.errors import InvalidKeyError

PLATFORM = "slack"


def conversation_key(event: Mapping[str, Any], *, workspace: str = "") -> ConversationKey:
    """The conversation that a message belongs to.

    In a channel every thread is a conversation, and a message outside of threads opens one. A DM is one conversation,
    but for its threads, which are conversations of their own.

    Args:
        event: What a Bolt listener gets as ``event`` (a message or a mention), or, better, as ``body``: an event by
            itself names the author's workspace, which in a channel shared with another organisation may be theirs.
        workspace: Team id of the workspace, where the caller knows it better than the event.

    Raises:
        InvalidKeyError: The event is no message, or does not say which workspace it comes from.

    >>> str(conversation_key({"team": "T1", "channel": "C1", "ts": "1700000000.000100"}))
    'slack:T1:C1:1700000000.000100'
    >>> str(conversation_key({"team": "T1", "channel": "D1", "ts": "1700000000.000100"}))
    'slack:T1:D1'
    """
    message = inner_event(event)
    channel, ts = message.get("channel"), message.get("ts")
    if not isinstance(channel, str) or not isinstance(ts, str):
        raise InvalidKeyError("this Slack event belongs to no conversation: give a message or a mention")
    team = workspace or _workspace(event, message)
    if not team:
        raise InvalidKeyError("this Slack event does not say which workspace it comes from: give workspace=…")
    thread = thread_ts(message)
    if thread == ts:  # the first message of a thread says of itself that it is in it, once it has replies
        thread = None
    return ConversationKey(PLATFORM, team, channel, thread or (None if is_dm(message) else ts))


def inner_event(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The event inside an Events API body; a body that is no such thing is taken for the event itself."""
    event = body.get("event")
    return event if isinstance(event, Mapping) else body


def is_dm(message: Mapping[str, Any]) -> bool:
    """Whether a message stands in a DM between the bot and one person."""
    return message.get("channel_type") == "im" or str(message.get("channel")).startswith("D")


def thread_ts(message: Mapping[str, Any]) -> str | None:
    """The ``ts`` of the thread that a message is in, None outside of threads."""
    thread = message.get("thread_ts")
    return thread if isinstance(thread, str) and thread else None


def message_id(channel: str, ts: str) -> str:
    """The id of one message: a ``ts`` is unique in its channel only.

    It also names the event: a mention arrives as ``message`` and as ``app_mention``, one message with two event ids.
    """
    return f"{channel}:{ts}"


def place_of_message(message: str) -> tuple[str, str]:
    """The channel of a message and its ``ts`` there, from its id."""
    channel, _, ts = message.partition(":")
    return channel, ts


def _workspace(body: Mapping[str, Any], message: Mapping[str, Any]) -> str:
    # An installation of ours comes first: ``team_id`` may be the other side's in a shared channel, and only
    # ``message`` events, not their ``app_mention`` twins, carry ``context_team_id``.
    authorizations = body.get("authorizations")
    first = authorizations[0] if isinstance(authorizations, list) and authorizations else None
    installed = first.get("team_id") if isinstance(first, Mapping) else None
    for team in (installed, body.get("context_team_id"), body.get("team_id"), message.get("team")):
        if isinstance(team, str) and team:
            return team
    return ""
