"""What a Slack workspace holds: people, channels, messages, and the clock that names every message."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal

Kind = Literal["channel", "group", "mpim", "im"]
"""What Slack calls a public channel, a private one, a group DM and a DM."""

Message = dict[str, Any]
"""A message as the Web API shows it."""

TEAM_ID = "T0LOOPBACK"
APP_ID = "A0LOOPBACK"


@dataclass(frozen=True)
class User:
    """Someone in the workspace.

    Args:
        id: ``"U…"``.
        name: The handle.
        display_name: The name that people see.
        bot_id: ``"B…"`` for a bot user, else empty.
    """

    id: str
    name: str
    display_name: str = ""
    bot_id: str = ""

    @property
    def profile(self) -> dict[str, Any]:
        """The user object of ``users.info``."""
        return {
            "id": self.id,
            "team_id": TEAM_ID,
            "name": self.name,
            "deleted": False,
            "real_name": self.display_name or self.name,
            "profile": {"display_name": self.display_name, "real_name": self.display_name or self.name},
            "is_bot": bool(self.bot_id),
            "is_app_user": False,
        }


@dataclass(frozen=True)
class Team:
    """What Slack calls a workspace.

    Args:
        id: ``"T…"``.
        enterprise: The organisation that it belongs to, ``"E…"``; empty for none.
        org_wide: Whether the app is installed in all of that organisation at once.
    """

    id: str = TEAM_ID
    enterprise: str = ""
    org_wide: bool = False


@dataclass
class Channel:
    """A channel or DM, with its messages in order of time."""

    id: str
    kind: Kind
    name: str = ""
    members: set[str] = field(default_factory=set)
    archived: bool = False
    messages: list[Message] = field(default_factory=list)

    def message(self, ts: str) -> Message | None:
        return next((message for message in self.messages if message["ts"] == ts), None)

    def thread(self, ts: str) -> list[Message]:
        """The thread that ``ts`` is in, root first; empty when there is no such message."""
        message = self.message(ts)
        if message is None:
            return []
        root = message.get("thread_ts", ts)
        return [each for each in self.messages if root in (each["ts"], each.get("thread_ts"))]

    def info(self) -> dict[str, Any]:
        """The channel object of ``conversations.info``."""
        flags = {"is_channel": "channel", "is_group": "group", "is_mpim": "mpim", "is_im": "im"}
        about = {"id": self.id, "is_archived": self.archived} | {flag: self.kind == k for flag, k in flags.items()}
        return about if self.kind == "im" else about | {"name": self.name}


class Workspace:
    """People and channels, and the time: every message gets a later ``ts`` than the one before."""

    def __init__(self) -> None:
        self.users: dict[str, User] = {}
        self.channels: dict[str, Channel] = {}
        self.groups: dict[str, str] = {}
        self._ticks: Iterator[int] = count(1)

    def add(self, *things: User | Channel) -> None:
        for thing in things:
            if isinstance(thing, User):
                self.users[thing.id] = thing
            else:
                self.channels[thing.id] = thing

    def now(self) -> str:
        """The next ``ts``."""
        tick = next(self._ticks)
        return f"{1_700_000_000 + tick}.{tick:06d}"

    def write(self, channel: Channel, message: Message) -> Message:
        """Put ``message`` into ``channel``, its ``ts`` and the facts about its thread filled in."""
        message["ts"] = self.now()
        thread_ts = message.get("thread_ts")
        if thread_ts is not None:
            root = channel.message(thread_ts)
            if root is None:
                raise LookupError(f"there is no message {thread_ts} in {channel.id} to reply to")
            root["thread_ts"] = thread_ts
            root["reply_count"] = root.get("reply_count", 0) + 1
            message["parent_user_id"] = root["user"]
        channel.messages.append(message)
        return message
