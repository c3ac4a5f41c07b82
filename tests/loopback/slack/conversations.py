"""``conversations.info``, ``conversations.history`` and ``conversations.replies``, page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.loopback.slack.calls import Call, Refused, method
from tests.loopback.slack.workspace import Channel, Message

if TYPE_CHECKING:
    from tests.loopback.slack.server import FakeSlack

PREFIXES = {"channel": "channels", "group": "groups", "mpim": "mpim", "im": "im"}
HISTORY = tuple(f"{prefix}:history" for prefix in PREFIXES.values())
MOST = 1_000
READ = tuple(f"{prefix}:read" for prefix in PREFIXES.values())


def channel_of(slack: FakeSlack, call: Call, name: str = "channel") -> Channel:
    channel = slack.workspace.channels.get(call.get(name))
    if channel is None:
        raise Refused("channel_not_found")
    return channel


def _readable(slack: FakeSlack, call: Call, verb: str) -> Channel:
    channel = channel_of(slack, call)
    slack.need_scope(f"{PREFIXES[channel.kind]}:{verb}")
    if slack.bot.id not in channel.members:
        raise Refused("not_in_channel" if channel.kind == "channel" else "channel_not_found")
    return channel


def _page(messages: list[Message], call: Call) -> dict[str, Any]:
    limit = int(call.get("limit", "100"))
    if not 1 <= limit <= MOST:
        raise Refused("invalid_limit")
    if latest := call.get("latest"):
        included = call.flag("inclusive", default=False)
        messages = [each for each in messages if each["ts"] < latest or (included and each["ts"] == latest)]
    start = int(call.get("cursor", "0") or 0)
    end = start + limit
    more = end < len(messages)
    return {
        "messages": messages[start:end],
        "has_more": more,
        "response_metadata": {"next_cursor": str(end) if more else ""},
    }


@method("conversations.info", *READ)
async def info(slack: FakeSlack, call: Call) -> dict[str, Any]:
    return {"channel": _readable(slack, call, "read").info()}


@method("conversations.history", *HISTORY)
async def history(slack: FakeSlack, call: Call) -> dict[str, Any]:
    channel = _readable(slack, call, "history")
    roots = [message for message in channel.messages if message.get("thread_ts", message["ts"]) == message["ts"]]
    return _page(roots[::-1], call)


@method("conversations.replies", *HISTORY)
async def replies(slack: FakeSlack, call: Call) -> dict[str, Any]:
    thread = _readable(slack, call, "history").thread(call["ts"])
    if not thread:
        raise Refused("thread_not_found")
    return _page(thread, call)
