"""Slash commands: what somebody means by one, and whether it can be done where it was given. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from dspy_session_chat.action import Command
from dspy_session_chat.commands import nearest
from dspy_session_chat.needs import Named
from dspy_session_chat.rules.manners import Manners
from dspy_session_slack.inbound.address import is_id
from dspy_session_slack.key import is_dm

ASK = "ask"

OF_A_CONVERSATION = frozenset({"reset", "new", "undo", "retry", "stop", "fork", "history"})
"""Commands that are about what was said in one conversation, and so have to know which."""

_ASKING = re.compile(rf"{ASK}(?:-.+)?|.+-{ASK}")


@dataclass(frozen=True, slots=True)
class Given:
    """A slash command as it was given. Slack does not tell in which thread, and takes none within a thread.

    Args:
        name: What stands after the slash: whatever the app's settings call it.
        text: What was written after that.
        channel: Where.
        user: Who gave it.
        handle: Their handle.
        respond: The address at which Slack takes five answers to it, for half an hour.
        trigger: Slack's id of it.
    """

    name: str
    text: str
    channel: str
    user: str
    handle: str
    respond: str
    trigger: str

    @property
    def direct(self) -> bool:
        """Whether it was given in a DM."""
        return is_dm({"channel": self.channel})


@dataclass(frozen=True, slots=True)
class Ask:
    """The agent is asked something.

    Args:
        text: The question.
    """

    text: str


@dataclass(frozen=True, slots=True)
class Remark:
    """Nothing is done, and whoever gave the command is told why.

    Args:
        text: What they are told, Markdown.
    """

    text: str


Meant: TypeAlias = Ask | Command | Remark


def given(body: Mapping[str, Any]) -> Given | None:
    """The slash command that Slack tells of; None if it is another thing, or not well formed."""
    command, channel, user = body.get("command"), body.get("channel_id"), body.get("user_id")
    if not (isinstance(command, str) and command.startswith("/") and is_id(channel) and is_id(user)):
        return None
    return Given(
        name=command[1:].lower(),
        text=_text(body, "text").strip(),
        channel=channel,
        user=user,
        handle=_text(body, "user_name"),
        respond=_text(body, "response_url"),
        trigger=_text(body, "trigger_id"),
    )


def is_ours(command: Given, commands: Sequence[Named], bot_name: str) -> bool:
    """Whether a command of an app that others handle too is for the bot: it asks, or has one of our names or its own.

    Args:
        command: What was given.
        commands: Those that the bot has.
        bot_name: The bot's handle.
    """
    return _asks(command.name) or command.name in _names(commands) | {bot_name.lower()}


def meant(command: Given, commands: Sequence[Named], bot_name: str, manners: Manners, *, threaded: bool) -> Meant:
    """What somebody means by a slash command.

    ``/ask …`` asks. A command of the bot's own name is given by it (``/undo 2``); every other one is taken for the
    one with subcommands: ``/helper undo 2``, ``/helper ask …``.

    Args:
        command: What was given.
        commands: Those that the bot has.
        bot_name: The bot's handle, which people mention.
        manners: What is one conversation.
        threaded: Whether every message in a DM begins a thread of its own.
    """
    names = _names(commands)
    name, text = command.name, command.text
    if not (_asks(name) or name in names):
        name, _, text = text.partition(" ")
        name, text = name.lower().removeprefix("/"), text.strip()
    if _asks(name):
        usage = f"Write your question after it: `/{command.name}{'' if _asks(command.name) else f' {ASK}'} …`"
        return Ask(text) if text else Remark(usage)
    if name and name not in names:
        return Remark(f"I know no command `{_shown(name)}`; {_perhaps(command.name, name, commands)}")
    if name in OF_A_CONVERSATION and not _is_clear(command, manners, threaded=threaded):
        order = _shown(f"/{name} {text}".strip())
        return Remark(f"Which thread do you mean? Slack does not tell me: write `@{bot_name} {order}` in the thread.")
    return Command(name or "help", text)


def _names(commands: Sequence[Named]) -> frozenset[str]:
    return OF_A_CONVERSATION.union(*((each.name, *each.aliases) for each in commands))


def _perhaps(own: str, name: str, commands: Sequence[Named]) -> str:
    """What somebody is asked or told who gave a command that there is none of."""
    near = nearest(name, _names([each for each in commands if not each.admin]))
    return f"did you mean `/{own} {near}`?" if near else f"`/{own} help` says what there is."


def _is_clear(command: Given, manners: Manners, *, threaded: bool) -> bool:
    """Whether it is clear which conversation a command is about."""
    if manners.scope not in ("thread", "reply-chain"):
        return True
    return command.direct and (manners.dms == "whole" or not threaded)


def _asks(name: str) -> bool:
    """Whether a name is that of the command that asks; ``/ask`` itself may be another app's."""
    return _ASKING.fullmatch(name) is not None


def _shown(text: str) -> str:
    return text.replace("`", "'")[:100]


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    return value if isinstance(value, str) else ""
