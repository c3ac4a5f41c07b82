"""What the app is told: every event that it is subscribed to, from the places where the bot is."""

from __future__ import annotations

from collections.abc import Collection
from itertools import count
from typing import Any

from tests.loopback.slack.socket_mode import Delivery, SocketMode
from tests.loopback.slack.workspace import APP_ID, Channel, Message, Team, User, Workspace

_SUBSCRIPTIONS = {"channel": "message.channels", "group": "message.groups", "mpim": "message.mpim", "im": "message.im"}


class News:
    """Tells the app of what happens.

    Args:
        workspace: Where it happens.
        sockets: Bring the events to the app.
        bot: The app's user.
        events: What the app is subscribed to.
        team: What the workspace is called.
    """

    def __init__(
        self, workspace: Workspace, sockets: SocketMode, bot: User, events: Collection[str], team: Team
    ) -> None:
        self.events = events
        self._workspace = workspace
        self._sockets = sockets
        self._bot = bot
        self._team = team
        self._numbers = count(1)

    def written(self, channel: Channel, message: Message) -> None:
        """A new message: told once as a message and, where the bot is mentioned, once more as a mention."""
        about = {"channel": channel.id, "event_ts": message["ts"]}
        # A thread's root carries facts about its replies in the API, but not in the event that announced it.
        event = {name: value for name, value in message.items() if name != "reply_count"} | about
        self._tell(channel, event)
        mentioned = f"<@{self._bot.id}>" in message["text"] or f"<@{self._bot.id}|" in message["text"]
        if mentioned and channel.kind != "im" and message["user"] != self._bot.id:
            self._tell(channel, event | {"type": "app_mention"})

    def changed(self, channel: Channel, before: Message, now: Message) -> None:
        """A message is not what it was: in its text, or in what Slack shows with it."""
        event = {"type": "message", "subtype": "message_changed", "hidden": True, "channel": channel.id}
        event |= {"message": dict(now), "previous_message": dict(before), "ts": self._workspace.now()}
        self._tell(channel, event | {"event_ts": event["ts"]})

    def deleted(self, channel: Channel, message: Message) -> None:
        """A message is no more."""
        event = {"type": "message", "subtype": "message_deleted", "hidden": True, "channel": channel.id}
        event |= {"previous_message": dict(message), "deleted_ts": message["ts"], "ts": self._workspace.now()}
        self._tell(channel, event | {"event_ts": event["ts"]})

    def happened(self, event: dict[str, Any]) -> Delivery:
        """Anything else, told whether the app asked for it or not."""
        installed = {"team_id": self._team.id, "enterprise_id": self._team.enterprise or None, "is_bot": True}
        installed |= {"user_id": self._bot.id, "is_enterprise_install": self._team.org_wide}
        return self._sockets.deliver(
            {
                "token": "verification-token",
                "team_id": self._team.id,
                "api_app_id": APP_ID,
                "event": event,
                "type": "event_callback",
                "event_id": f"Ev{self._team.id}{next(self._numbers):08d}",
                "event_time": int(float(event["event_ts"])),
                "authorizations": [installed],
                "is_ext_shared_channel": False,
            }
        )

    def _tell(self, channel: Channel, event: dict[str, Any]) -> None:
        subscription = "app_mention" if event["type"] == "app_mention" else _SUBSCRIPTIONS[channel.kind]
        if self._bot.id not in channel.members or subscription not in self.events:
            return
        # Slack names the kind of channel in message events alone.
        self.happened(event if subscription == "app_mention" else event | {"channel_type": channel.kind})
