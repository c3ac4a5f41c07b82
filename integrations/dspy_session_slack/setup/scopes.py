"""What a Slack app must be allowed and subscribed to, for what its bot shall do: the one place that says so.

The manifest, the link that installs the app, the check of a token and the docs are all made from here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

APP_SCOPES = ("connections:write",)
"""Scopes of the app-level token, which Socket Mode connects with."""

WRITING = "chat:write"

READING = "files:read"

HEARING = ("app_mentions:read", "channels:history", "groups:history", "im:history", "mpim:history")
"""Scopes that let a bot hear people; it needs one of them."""

ASSISTANT = "assistant:write"

Part = Literal["everywhere", "commands", "assistant", "workspaces"]
"""Which part of the bot wants something: what every bot does, or an option of :class:`Features`."""


@dataclass(frozen=True, slots=True)
class Features:
    """What an app is set up for, besides what every bot does.

    Args:
        commands: Slash commands, and the shortcut that asks about a message.
        assistant: Slack's view for agents, with a greeting and suggested prompts. It makes every DM of the app a thread
            of its own and keeps workspace guests out, and Slack does not take it back.
        workspaces: Several workspaces install the app: the bot hears when one of them takes it out.
    """

    commands: bool = True
    assistant: bool = False
    workspaces: bool = False

    def has(self, part: Part) -> bool:
        """Whether that part is wanted."""
        wanted = {"everywhere": True, "commands": self.commands, "assistant": self.assistant}
        return wanted.get(part, self.workspaces)


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that the bot does, and what Slack wants for it.

    Args:
        does: What it is, such as ``"read direct messages"``: the bot may, or may not, do that.
        scopes: Scopes of the bot token.
        events: Events that the app is subscribed to.
        part: What wants it.
    """

    does: str
    scopes: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    part: Part = "everywhere"


NEEDS = (
    Need("hear mentions", ("app_mentions:read",), ("app_mention",)),
    Need("read public channels that it is in", ("channels:history",), ("message.channels",)),
    Need("read private channels that it is in", ("groups:history",), ("message.groups",)),
    Need("read direct messages", ("im:history",), ("message.im",)),
    Need("read group direct messages", ("mpim:history",), ("message.mpim",)),
    Need("write", (WRITING,)),
    Need("tell people's names", ("users:read",)),
    Need("tell the names of channels", ("channels:read", "groups:read")),
    Need("see reactions", ("reactions:read",), ("reaction_added", "reaction_removed")),
    Need("read the files that people send", (READING,)),
    Need("send files", ("files:write",)),
    Need("take slash commands and the shortcut", ("commands",), part="commands"),
    # Apps that are made today have the agent view; assistant_thread_started and assistant_thread_context_changed are
    # what came before it, and only apps that had the assistant view already get those.
    # Without agent_session_stopped, Slack shows no button that stops an answer while it is streamed.
    Need(
        "greet and suggest prompts",
        (ASSISTANT,),
        ("app_home_opened", "app_context_changed", "agent_session_stopped"),
        part="assistant",
    ),
    Need("learn that a workspace took the app out", (), ("app_uninstalled", "tokens_revoked"), part="workspaces"),
)


def needs(features: Features) -> list[Need]:
    """What the bot does with those features."""
    return [need for need in NEEDS if features.has(need.part)]


def bot_scopes(features: Features) -> list[str]:
    """The scopes that a bot token needs for ``features``, and no others."""
    return list(dict.fromkeys(scope for need in needs(features) for scope in need.scopes))


def bot_events(features: Features) -> list[str]:
    """The events that an app is subscribed to for ``features``."""
    return list(dict.fromkeys(event for need in needs(features) for event in need.events))


def lacking(granted: Iterable[str], features: Features) -> list[Need]:
    """What the bot cannot do for want of a scope.

    Args:
        granted: What its token is allowed.
        features: What it shall do.
    """
    allowed = frozenset(granted)
    return [need for need in needs(features) if not allowed.issuperset(need.scopes)]
