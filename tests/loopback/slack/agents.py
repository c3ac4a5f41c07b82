"""``assistant.threads.*``, and what people do in Slack's view for agents."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.loopback.slack.calls import Call, Refused, method
from tests.loopback.slack.conversations import channel_of
from tests.loopback.slack.workspace import Channel

if TYPE_CHECKING:
    from tests.loopback.slack.server import FakeSlack

MOST_PROMPTS = 4


@dataclass
class View:
    """What stands in the view for agents.

    Args:
        titles: What threads are called.
        statuses: What the app says that it is at, by thread; what it posts there takes it away.
        said: Every status so far.
        prompts: What is suggested, by thread; by channel alone in the agent view.
        heading: What stands above that.
        sessions: How far the app is, by thread.
    """

    titles: dict[str, str] = field(default_factory=dict)
    statuses: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    prompts: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    heading: dict[str, str] = field(default_factory=dict)
    sessions: dict[str, str] = field(default_factory=dict)


def _place(slack: FakeSlack, call: Call) -> tuple[Channel, str]:
    channel = channel_of(slack, call, "channel_id")
    if slack.bot.id not in channel.members:
        raise Refused("channel_not_found")
    thread = call["thread_ts"]
    if channel.message(thread) is None:
        raise Refused("invalid_thread_ts")
    return channel, thread


@method("assistant.threads.setStatus", "chat:write")
async def set_status(slack: FakeSlack, call: Call) -> dict[str, Any]:
    _, thread = _place(slack, call)
    if "status" not in call.args:
        raise Refused("invalid_arguments")
    slack.view.statuses[thread] = call.get("status")
    slack.view.said.append(call.get("status"))
    return {}


@method("assistant.threads.setTitle", "assistant:write")
async def set_title(slack: FakeSlack, call: Call) -> dict[str, Any]:
    _, thread = _place(slack, call)
    slack.view.titles[thread] = call["title"]
    return {}


@method("assistant.threads.setSuggestedPrompts", "assistant:write")
async def suggest(slack: FakeSlack, call: Call) -> dict[str, Any]:
    channel = channel_of(slack, call, "channel_id")
    written = call.args.get("prompts")
    prompts: list[dict[str, str]] = json.loads(written) if isinstance(written, str) else written
    if not 1 <= len(prompts) <= MOST_PROMPTS:
        raise Refused("too_many_prompts")
    if any(set(prompt) != {"title", "message"} or not all(prompt.values()) for prompt in prompts):
        raise Refused("invalid_arguments")
    place = call.get("thread_ts") or channel.id
    slack.view.prompts[place], slack.view.heading[place] = prompts, call.get("title")
    return {}


@method("agents.sessions.setStatus", "chat:write")
async def set_session(slack: FakeSlack, call: Call) -> dict[str, Any]:
    _, thread = _place(slack, call)
    if "assistant:write" not in slack.scopes["bot"]:
        raise Refused("not_authorized")
    if call["status"] not in ("active", "processing", "suspended", "closed"):
        raise Refused("invalid_arguments")
    slack.view.sessions[thread] = call["status"]
    return {"status": call["status"]}


def opened(channel: Channel, user: str, context: dict[str, Any] | None) -> dict[str, Any]:
    """Somebody opens the app, in the agent view."""
    return {"type": "app_home_opened", "user": user, "channel": channel.id, "tab": "messages"} | (
        {"context": context} if context else {}
    )


def panel(kind: str, channel: Channel, thread: str, user: str, viewing: str) -> dict[str, Any]:
    """Somebody opens the assistant panel, or looks at another channel beside it."""
    context = {"channel_id": viewing, "team_id": "T0LOOPBACK", "enterprise_id": None}
    thread_of = {"user_id": user, "context": context, "channel_id": channel.id, "thread_ts": thread}
    return {"type": kind, "assistant_thread": thread_of}
