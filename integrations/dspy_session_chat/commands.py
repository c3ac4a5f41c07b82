"""Commands: what people can tell the bot to do, each defined once, for all platforms."""

from __future__ import annotations

import difflib
import inspect
import json
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from dspy_session.conversation import Conversations
from dspy_session.conversation.changing import Changing
from dspy_session.conversation.runtime import Job
from dspy_session.errors import ConfigurationError
from dspy_session.stores import Settled
from dspy_session_chat.action import Command, Event
from dspy_session_chat.inbound import Inbound
from dspy_session_chat.platform import Platform
from dspy_session_chat.reply import Reply
from dspy_session_chat.waiting import Waiting

_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
"""What Discord and Slack both take as a name."""
_CALL = re.compile(r"/(?P<name>[A-Za-z][A-Za-z0-9-]*)(?:\s+(?P<text>.*))?", re.DOTALL)
LONGEST_DESCRIPTION = 100
_ALIKE = 0.75
"""From which likeness on, as difflib counts it, a word is a command misspelt: two letters of four that are swapped."""
_MOST_MISSING = 2
"""Letters that a misspelt name has too many or too few at most; what is longer still is a word of its own."""


@dataclass(slots=True)
class Asked:
    """A command that was given, for whoever carries it out.

    Args:
        conversations: All conversations of the bot.
        platform: Where it was given.
        waiting: The event, on its way through the inbox.
        text: What was written after the command's name.
        job: The conversation, which is held while the command is carried out.
    """

    conversations: Conversations
    platform: Platform
    waiting: Waiting
    text: str
    job: Job
    settled: str | None = None
    """The reply that is committed already, as JSON text; None while none is."""

    @property
    def event(self) -> Event:
        """Who gave it, where and when."""
        return self.waiting.event

    @property
    def key(self) -> str:
        """The conversation that it was given in."""
        return self.job.hold.key

    async def changing(self, reply: Reply | None = None) -> Changing:
        """The conversation, to be changed once.

        Args:
            reply: What is said to whoever gave the command, committed with that change; None when it is returned.
        """
        if reply is None:
            return await self.job.changing()
        self.settled = json.dumps(reply.to_json())
        return await self.job.changing(Settled(self.event.event_id, self.settled, received=True))


Handler = Callable[[Asked], Awaitable[Reply | str | None]]
"""Carries a command out: what is said to whoever gave it, Markdown if it is a text; None for nothing."""


@dataclass(frozen=True, slots=True)
class BotCommand:
    """Something that people can tell the bot to do.

    Args:
        name: Its name: lower-case letters, digits and hyphens, 32 at most.
        description: What it does, in one line of 100 characters at most.
        handler: Carries it out.
        aliases: Other names for it.
        takes: What may be written after it, for the help: ``"[how many]"``; empty for nothing.
        admin: Whether only admins may give it.
        private: Whether what it says is for the one who gave it alone, where the platform can.

    Raises:
        ConfigurationError: A name, the description or the handler does not fit.
    """

    name: str
    description: str
    handler: Handler = field(repr=False)
    aliases: tuple[str, ...] = ()
    takes: str = ""
    admin: bool = False
    private: bool = False

    def __post_init__(self) -> None:
        for name in (self.name, *self.aliases):
            if not _NAME.fullmatch(name):
                raise ConfigurationError(
                    f"{name!r} is no name for a command: lower-case letters, digits and hyphens, 32 at most"
                )
        if not self.description.strip() or "\n" in self.description or len(self.description) > LONGEST_DESCRIPTION:
            raise ConfigurationError(
                f"the command {self.name} needs a description of one line, {LONGEST_DESCRIPTION} characters at most"
            )
        _check_handler(self.name, self.handler)


class Commands:
    """The commands of a bot, by name.

    Args:
        commands: The first of them.
    """

    def __init__(self, commands: Sequence[BotCommand] = ()) -> None:
        self._commands: dict[str, BotCommand] = {}
        self._by_name: dict[str, BotCommand] = {}
        for command in commands:
            self.add(command)

    def __iter__(self) -> Iterator[BotCommand]:
        return iter(self._commands.values())

    def add(self, command: BotCommand) -> None:
        """Add a command.

        Raises:
            ConfigurationError: There is one of that name.
        """
        for name in (command.name, *command.aliases):
            if name in self._by_name:
                raise ConfigurationError(f"there is a command {name!r} already")
        self._commands[command.name] = command
        self._by_name.update(dict.fromkeys((command.name, *command.aliases), command))

    def named(self, name: str) -> BotCommand | None:
        """The command of a name or an alias."""
        return self._by_name.get(name.lower())

    def in_message(self, inbound: Inbound) -> Command | None:
        """The command that a message is: a slash, its name, and what follows; None for any other message."""
        found = _CALL.fullmatch(inbound.text.strip())
        if found is None or self.named(found["name"]) is None:
            return None
        return Command(found["name"].lower(), (found["text"] or "").strip())

    def meant_by(self, inbound: Inbound) -> BotCommand | None:
        """The command that a message is most likely meant to be, with its name misspelt; None for any other message."""
        found = _CALL.fullmatch(inbound.text.strip())
        if found is None or self.named(found["name"]) is not None or len((found["text"] or "").split()) > 1:
            return None
        return self._by_name.get(nearest(found["name"].lower(), self._by_name))

    def help(self, *, admin: bool) -> str:
        """What there is, as Markdown."""
        lines = []
        for command in self:
            if admin or not command.admin:
                names = " or ".join(f"`/{name}`" for name in (command.name, *command.aliases))
                takes = f" {command.takes}" if command.takes else ""
                lines.append(f"- {names}{takes}: {command.description}")
        return "\n".join(lines)


def nearest(word: str, names: Iterable[str]) -> str:
    """The name that a word is most likely meant to be; empty where it is a word of its own."""
    likely = [name for name in names if abs(len(name) - len(word)) <= _MOST_MISSING]
    return next(iter(difflib.get_close_matches(word, likely, n=1, cutoff=_ALIKE)), "")


def _check_handler(name: str, handler: object) -> None:
    called = getattr(handler, "__call__", None)  # noqa: B004  # of an object it is what may be async
    if not (inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(called)):
        got = getattr(handler, "__qualname__", None) or repr(handler)
        raise ConfigurationError(f"the command {name} needs an `async def` that takes what was asked; got {got:.80}")
    assert callable(handler)
    try:
        inspect.signature(handler).bind(None)
    except TypeError:
        raise ConfigurationError(
            f"the command {name} needs a function of one argument, what was asked: async def {name.replace('-', '_')}"
            f"(asked); got {inspect.signature(handler)}"
        ) from None
