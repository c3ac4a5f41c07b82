"""``views.open``, and what people do with buttons and modals: the envelopes that tell the app of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.loopback.slack.blocks import ANSWER, check_view, seen_buttons
from tests.loopback.slack.calls import Call, Refused, method
from tests.loopback.slack.workspace import APP_ID, TEAM_ID, Channel, Message, User

if TYPE_CHECKING:
    from tests.loopback.slack.server import FakeSlack


@method("views.open")
async def open_view(slack: FakeSlack, call: Call) -> dict[str, Any]:
    slack.triggers.exchange(call["trigger_id"])
    view = call.args["view"]
    view = json.loads(view) if isinstance(view, str) else dict(view)
    check_view(view)
    view |= {"id": f"V{len(slack.views) + 1:08d}", "team_id": TEAM_ID, "app_id": APP_ID, "state": {"values": {}}}
    slack.opened(view)
    return {"view": view}


def pressed(channel: Channel, message: Message, label: str, user: User, trigger: str, at: str) -> dict[str, Any]:
    """The ``block_actions`` payload of a button that a person pressed."""
    element = next(each.element for each in seen_buttons(message.get("blocks") or []) if each.label == label)
    container = {"type": "message", "message_ts": message["ts"], "channel_id": channel.id, "is_ephemeral": False}
    if "thread_ts" in message:
        container["thread_ts"] = message["thread_ts"]
    return {
        **by(user),
        "type": "block_actions",
        "trigger_id": trigger,
        "container": container,
        "channel": {"id": channel.id, "name": channel.name or "directmessage"},
        "message": dict(message),
        "state": {"values": {}},
        "response_url": "https://hooks.slack.com/actions/loopback",
        "actions": [{**element, "block_id": "b1", "action_ts": at}],
    }


def submitted(view: dict[str, Any], text: str | None, user: User, trigger: str) -> dict[str, Any]:
    """The ``view_submission`` payload of a modal that a person filled in; None leaves its field empty."""
    values = {
        block["block_id"]: {block["element"]["action_id"]: {"type": block["element"]["type"], "value": text}}
        for block in view["blocks"]
        if block["type"] == "input"
    }
    for block in (each for each in view["blocks"] if each["type"] == "input"):
        assert text or block.get("optional"), "Slack does not send a modal off whose field has to be filled in"
        assert len(text or "") <= block["element"].get("max_length", ANSWER), "Slack lets nobody write more than that"
    filled = {**view, "state": {"values": values}}
    return {**by(user), "type": "view_submission", "trigger_id": trigger, "view": filled, "response_urls": []}


def by(user: User) -> dict[str, Any]:
    """What the payload of an interaction says of who brought it about."""
    return {
        "team": {"id": TEAM_ID, "domain": "loopback"},
        "user": {"id": user.id, "username": user.name, "name": user.name, "team_id": TEAM_ID},
        "api_app_id": APP_ID,
        "token": "verification-token",
        "enterprise": None,
        "is_enterprise_install": False,
    }


class Triggers:
    """The ids by which an app may open one modal after somebody did something."""

    def __init__(self) -> None:
        self._given: dict[str, bool] = {}

    def new(self) -> str:
        trigger = f"trigger-{len(self._given) + 1}"
        self._given[trigger] = True
        return trigger

    def expire(self) -> None:
        """Let those that were not used get too old, as they do after three seconds."""
        self._given = dict.fromkeys(self._given, False)

    def exchange(self, trigger: str) -> None:
        if trigger not in self._given:
            raise Refused("invalid_arguments", response_metadata={"messages": ["[ERROR] invalid trigger_id"]})
        if not self._given[trigger]:
            raise Refused("expired_trigger_id")
        self._given[trigger] = False
