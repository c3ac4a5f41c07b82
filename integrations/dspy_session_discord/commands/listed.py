"""The bot's commands as Discord lists them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import discord

from dspy_session_chat.needs import Named

SLASH, ON_MESSAGE = 1, 3
"""Kinds of commands: one that is written, and one in the menu of a message."""

LAUNCHES = 4
"""Kind of the command that launches an app's activity. Discord makes it, and does not let go of it."""

MOST_SLASH = 100
"""Commands that Discord lists at most."""
LONGEST_TEXT = 6000
"""Characters in an option, at most."""
LONGEST_NAME = 32
LONGEST_DESCRIPTION = 100

TEXT, FILE = 3, 11
"""Kinds of options: a text, and a file."""

IN_SERVERS, IN_DMS = 0, 1
"""Where a command is offered."""

OF_A_CONVERSATION = frozenset({"reset", "undo", "retry", "stop", "fork", "history"})
"""Commands that are about what was said in one conversation, and so have to know which."""

_NO_NAME = re.compile(r"[^a-z0-9]+")
_ADMINS = str(discord.Permissions(manage_guild=True).value)


@dataclass(frozen=True, slots=True)
class Option:
    """Something that is given with a command.

    Args:
        name: Its name: lower-case letters, digits and hyphens.
        description: What it is for.
        kind: ``TEXT`` or ``FILE``.
        required: Whether it must be given.
    """

    name: str
    description: str
    kind: int = TEXT
    required: bool = False

    def payload(self) -> dict[str, Any]:
        """As Discord takes it."""
        body = {"type": self.kind, "name": self.name, "description": self.description, "required": self.required}
        return {**body, "max_length": LONGEST_TEXT} if self.kind == TEXT else body


@dataclass(frozen=True, slots=True)
class Listed:
    """A command as Discord lists it.

    Args:
        name: Its name.
        description: What it does; empty for one in the menu of a message.
        options: What is given with it.
        kind: ``SLASH`` or ``ON_MESSAGE``.
        admin: Whether it is offered to those alone who may manage the server. They can change that in the server's
            settings, and it is a hint: who may give it is decided by the bot's ``Access``.
        private: Whether the answer is for the one who gave it alone, as far as that can be told beforehand.
    """

    name: str
    description: str = ""
    options: tuple[Option, ...] = ()
    kind: int = SLASH
    admin: bool = False
    private: bool = False

    def payload(self, *, in_one_server: bool) -> dict[str, Any]:
        """As Discord takes it; where a command of a single server is offered, there is no choice."""
        body: dict[str, Any] = {
            "type": self.kind,
            "name": self.name,
            "default_member_permissions": _ADMINS if self.admin else None,
            "nsfw": False,
        }
        if self.kind == SLASH:
            body |= {"description": self.description, "options": [option.payload() for option in self.options]}
        return body if in_one_server else {**body, "integration_types": [0], "contexts": [IN_SERVERS, IN_DMS]}


ASKS = Listed(
    "ask",
    "Ask me something.",
    (Option("text", "What you want to know.", required=True), Option("file", "A file to read with it.", FILE)),
)
"""Asks the agent; a command of that name that the bot has itself goes before it."""

ASKS_ABOUT = Listed("Ask the bot about this message", kind=ON_MESSAGE)


def listed(commands: Iterable[Named]) -> list[Listed]:
    """What Discord is to list for a bot with these commands: each of them, ``/ask``, and the menu of a message."""
    own = [_listed(command) for command in commands]
    slash = own if any(command.name == ASKS.name for command in own) else [ASKS, *own]
    return [*slash, ASKS_ABOUT]


def same(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    """Whether Discord has a command just as we would have it; what it says besides, and what it leaves out because it
    goes without saying, is no difference.
    """
    return _essence(ours, ours) == _essence(theirs, ours)


def value_in(options: Sequence[Mapping[str, Any]], kind: int = TEXT) -> str:
    """The first value of a kind among the options of a command that was given; empty when there is none."""
    return next((str(option.get("value", "")).strip() for option in options if option.get("type") == kind), "")


def _listed(command: Named) -> Listed:
    takes = " ".join(command.takes.strip("[]<> ").split())
    options = (Option(_option_name(takes), takes[:LONGEST_DESCRIPTION]),) if takes else ()
    return Listed(command.name, command.description, options, admin=command.admin, private=command.private)


def _option_name(takes: str) -> str:
    """What Discord calls that which a command takes.

    >>> _option_name("how many")
    'how-many'
    """
    return _NO_NAME.sub("-", takes.lower()).strip("-")[:LONGEST_NAME].strip("-") or "text"


def _essence(command: Mapping[str, Any], ours: Mapping[str, Any]) -> tuple[Any, ...]:
    options = [
        (each["type"], each["name"], each["description"], bool(each.get("required")), each.get("max_length"))
        for each in command.get("options") or ()
    ]
    # Of a command of a single server Discord tells places too, which nobody chose.
    places = [sorted(command.get(name) or ()) for name in ("integration_types", "contexts") if name in ours]
    permissions, nsfw = command.get("default_member_permissions"), bool(command.get("nsfw"))
    described = command.get("description") or ""
    return command.get("type", SLASH), command["name"], described, options, permissions, nsfw, places
