"""People change and delete what they wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dspy_session_chat.action import Action, Deletion, Edit
from dspy_session_chat.inbound import Author
from dspy_session_slack.inbound.address import WRITTEN, BotUser, Ignored, author_id, is_id, is_time, is_well_formed
from dspy_session_slack.inbound.translate import author_of, moment, named_in, place_of, text_of
from dspy_session_slack.key import is_dm, message_id
from dspy_session_slack.unnamed import marked

CHANGED, DELETED = "message_changed", "message_deleted"


@dataclass(frozen=True, slots=True)
class Change:
    """A message that is not what it was.

    Args:
        message: How it is now, or was last, with its channel: what ``address`` and ``translate`` take.
        gone: Whether it was deleted.
        at: When, as Slack writes times.
    """

    message: Mapping[str, Any]
    gone: bool
    at: str


def change_of(event: Mapping[str, Any], bot: BotUser) -> Change | Ignored:
    """The message of another's that an event tells to be changed or deleted.

    Slack tells of every change in a message: that a link in it was unfurled, that a thread under it grew, that our own
    answer is being written. Only what people wrote anew is an edit.
    """
    now, before, at = _part(event, "message"), _part(event, "previous_message"), event.get("ts")
    if not is_time(at):
        return Ignored("not well formed")
    # The first message of a thread is not taken away but put in its place by another, so that the thread stays.
    gone = event["subtype"] == DELETED or now.get("subtype") == "tombstone"
    last = before if gone else now
    place = {"channel": event.get("channel"), "channel_type": event.get("channel_type")}
    message = {**last, **place, "type": "message", "ts": event.get("deleted_ts") or now.get("ts") or before.get("ts")}
    if bot.wrote(message):
        return Ignored("our own message")
    if last.get("subtype") not in WRITTEN:
        return Ignored("a join or other news about the channel")
    if gone:
        # Whose message it was need not be told: then it is known by its id alone.
        known = is_well_formed(message) or (author_id(message) is None and _has_place(message))
        return Change(message, gone, at) if known else Ignored("not well formed")
    if not is_well_formed(message):
        return Ignored("not well formed")
    if (now.get("text") or "") == (before.get("text") or "") or not (before or now.get("edited")):
        return Ignored("nothing was changed that people wrote")
    return Change(message, gone, at)


def translate_change(change: Change, bot: BotUser, names: Mapping[str, str]) -> Action:
    """What was done to a message.

    Args:
        change: What ``change_of`` found.
        bot: Who is listening.
        names: What people call the author, the channel and whoever is mentioned, by id.
    """
    message = change.message
    this = message_id(message["channel"], message["ts"])
    key, reply_to = place_of(message, bot)
    nobody = Author(id="", name="", workspace=bot.team_id)
    action = Action(
        key=key,
        event_id=f"{DELETED if change.gone else CHANGED}:{this}:{change.at}",
        author=nobody if author_id(message) is None else author_of(message, bot, names),
        sent_at=moment(change.at),
        deed=Deletion(this) if change.gone else Edit(this, text_of(message, bot, names)),
        channel_name="" if is_dm(message) else names.get(message["channel"], ""),
        reply_to=reply_to,
        direct=is_dm(message),
    )
    return action if change.gone else marked(action, named_in(message, bot), names)


def _part(event: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = event.get(name)
    return part if isinstance(part, Mapping) else {}


def _has_place(message: Mapping[str, Any]) -> bool:
    thread = message.get("thread_ts")
    return is_id(message["channel"]) and is_time(message["ts"]) and (thread is None or is_time(thread))
