"""Which channel somebody looks at while they talk to the bot, as Slack's view for agents tells. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dspy_session_slack.inbound.address import is_id

CONTEXT = "app_context"
"""What Slack calls it in a message, and what stands in ``context`` of the events that tell of it."""

_CHANNEL, _MESSAGE = "slack#/types/channel_id", "slack#/types/message_context"


def viewed(message: Mapping[str, Any]) -> str:
    """The channel that the author of a message looks at; empty where Slack does not tell."""
    return channel_in(message.get(CONTEXT))


def channel_in(context: object) -> str:
    """The channel in a context, whichever of Slack's two forms it has; empty for none.

    >>> channel_in({"channel_id": "C1"})
    'C1'
    >>> channel_in({"entities": [{"type": "slack#/types/channel_id", "value": "C1"}]})
    'C1'
    """
    if not isinstance(context, Mapping):
        return ""
    entities = context.get("entities")
    for entity in entities if isinstance(entities, list) else ():
        value = entity.get("value") if isinstance(entity, Mapping) else None
        kind = entity.get("type") if isinstance(entity, Mapping) else None
        found = value.get("channel_id") if kind == _MESSAGE and isinstance(value, Mapping) else value
        if kind in (_CHANNEL, _MESSAGE) and is_id(found):
            return found
    single = context.get("channel_id")
    return single if is_id(single) else ""


def with_context(body: Mapping[str, Any], channel: str) -> Mapping[str, Any]:
    """An event's body in which the message says which channel its author looks at, unless it does so already."""
    event = body.get("event")
    if not channel or not isinstance(event, Mapping) or viewed(event):
        return body
    return {**body, "event": {**event, CONTEXT: {"channel_id": channel}}}
