"""Slash commands and message shortcuts: what tells the app of them, and the addresses at which it may answer."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.loopback.slack.blocks import check_blocks, words_of
from tests.loopback.slack.calls import Refused
from tests.loopback.slack.views import by
from tests.loopback.slack.workspace import APP_ID, TEAM_ID, Channel, Message, User

if TYPE_CHECKING:
    from tests.loopback.slack.server import FakeSlack

USES = 5
"""How often the app may answer at one address."""


@dataclass
class Responses:
    """The addresses at which the app may answer a command for whoever gave it.

    Args:
        address: Host and port of the server.
    """

    address: str = ""
    open: dict[str, int] = field(default_factory=dict)
    said: list[dict[str, Any]] = field(default_factory=list)
    """What the app said there, with the ``user`` and ``channel`` that it was said to."""
    _about: dict[str, tuple[str, str]] = field(default_factory=dict)

    def new(self, channel: str, user: str) -> str:
        """An address for a command that somebody gave."""
        name = f"{len(self.open) + 1}"
        self.open[name] = USES
        self._about[name] = channel, user
        return f"http://{self.address}/respond/{name}"

    def expire(self) -> None:
        """Half an hour goes by."""
        self.open = dict.fromkeys(self.open, 0)

    def take(self, name: str, said: dict[str, Any]) -> None:
        """The app says something.

        Raises:
            Refused: There is no such address any more, or Slack does not take what is said.
        """
        if not self.open.get(name):
            raise Refused("expired_url" if name in self.open else "invalid_url")
        if said.get("response_type") not in ("ephemeral", "in_channel"):
            raise Refused("invalid_payload")
        blocks = said.get("blocks")
        if blocks:
            check_blocks(blocks)
        elif not str(said.get("text") or "").strip():
            raise Refused("no_text")
        self.open[name] -= 1
        channel, user = self._about[name]
        self.said.append({**said, "channel": channel, "user": user})


async def responded(slack: FakeSlack, request: web.Request) -> web.StreamResponse:
    """``POST`` to the address of a command."""
    said = json.loads(await request.text())
    try:
        slack.responses.take(request.match_info["name"], said)
    except Refused as refusal:
        return web.json_response(refusal.answer, status=404)
    slack.notified(said["text"], linked=bool(said.get("link_names")) or said.get("parse") == "full")
    for words, markdown in words_of(said.get("blocks") or []):
        slack.notified(words, markdown=markdown)
    await slack.changed()
    return web.Response(text="ok")


def command(name: str, text: str, channel: Channel, user: User, trigger: str, respond: str) -> dict[str, Any]:
    """The payload of a slash command; in Socket Mode its fields are JSON, over HTTP a form."""
    names = {"im": "directmessage", "group": "privategroup", "mpim": "mpdm-group"}
    return {
        "token": "verification-token",
        "team_id": TEAM_ID,
        "team_domain": "loopback",
        "channel_id": channel.id,
        "channel_name": names.get(channel.kind, channel.name),
        "user_id": user.id,
        "user_name": user.name,
        "command": name,
        "text": text,
        "api_app_id": APP_ID,
        "is_enterprise_install": "false",
        "response_url": respond,
        "trigger_id": trigger,
    }


def shortcut(
    callback: str, channel: Channel, message: Message, user: User, trigger: str, respond: str
) -> dict[str, Any]:
    """The payload of a message shortcut."""
    return {
        **by(user),
        "type": "message_action",
        "action_ts": message["ts"],
        "callback_id": callback,
        "trigger_id": trigger,
        "response_url": respond,
        "message_ts": message["ts"],
        "channel": {"id": channel.id, "name": channel.name or "directmessage"},
        "message": dict(message),
    }
