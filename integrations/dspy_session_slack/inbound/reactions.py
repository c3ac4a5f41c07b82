"""An emoji under a message of ours, in the shape that every platform shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dspy_session.conversation.key import ConversationKey
from dspy_session_chat.action import Action, Reaction
from dspy_session_chat.inbound import Author
from dspy_session_slack.inbound.address import BotUser, Ignored, is_id, is_time
from dspy_session_slack.inbound.emoji import emoji_of
from dspy_session_slack.inbound.translate import moment
from dspy_session_slack.key import PLATFORM, is_dm, message_id
from dspy_session_slack.unnamed import unnamed

ADDED, REMOVED = "reaction_added", "reaction_removed"


def reaction_of(event: Mapping[str, Any], bot: BotUser, names: Mapping[str, str]) -> Action | Ignored:
    """Who reacted, with what, to which message of ours.

    Args:
        event: A ``reaction_added`` or ``reaction_removed``. Whether the message is ours it says in most cases; where it
            does not, the bot knows its own.
        bot: Who is listening.
        names: What people call whoever reacted, by id.
    """
    item, user, name, at = event.get("item"), event.get("user"), event.get("reaction"), event.get("event_ts")
    if not (isinstance(item, Mapping) and is_id(user) and isinstance(name, str) and name and is_time(at)):
        return Ignored("not well formed")
    channel, ts = item.get("channel"), item.get("ts")
    if item.get("type") != "message" or not is_id(channel) or not is_time(ts):
        return Ignored("not well formed")
    if user == bot.user_id:
        return Ignored("our own reaction")
    if event.get("item_user") not in (None, bot.user_id):
        return Ignored("not ours")
    message = message_id(channel, ts)
    return Action(
        key=ConversationKey(PLATFORM, bot.team_id, channel),
        # An event that comes again has the time that it had.
        event_id=f"{event['type']}:{message}:{user}:{name}:{at}",
        author=Author(id=user, name=names.get(user) or unnamed(user), workspace=bot.team_id),
        sent_at=moment(at),
        deed=Reaction(emoji_of(name), message, added=event["type"] == ADDED),
        reply_to=bot.home.marked({"channel": channel}),
        direct=is_dm({"channel": channel}),
    )
