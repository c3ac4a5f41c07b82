"""What ``PlatformContract`` needs to know of a platform: a server that only seems to be one, and people on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from dspy_session_chat.platform import Platform
from dspy_session_chat.reply import ReplyFile


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who talks to the bot.

    Args:
        id: The platform's id of them.
        name: The name that people see.
    """

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Where:
    """A place where people write.

    Args:
        channel: The channel or DM, by the id that it has in ``ConversationKey.channel``.
        thread: The thread in it, in the stage's own words; empty outside of threads.
    """

    channel: str
    thread: str = ""


@dataclass(frozen=True, slots=True)
class Written:
    """A message that somebody wrote.

    Args:
        id: What the stage calls it.
        author: Who wrote it.
        where: Where it stands.
        answers: Where the bot answers it.
    """

    id: str
    author: Person
    where: Where
    answers: Where


@dataclass(frozen=True, slots=True)
class Seen:
    """A message as people see it at this moment.

    Args:
        id: The platform's id of it, as ``Posted`` has it; empty for one that has none.
        by_bot: Whether it is the bot's own.
        text: What it says, with all that stands beneath; the markup is the platform's own.
        buttons: What stands on its buttons.
        files: The files with it; of those of people no more than the names.
        private_to: Id of the only one who sees it; empty when all do.
    """

    id: str
    by_bot: bool
    text: str
    buttons: tuple[str, ...] = ()
    files: tuple[ReplyFile, ...] = ()
    private_to: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What people can do and see there; a test of what they cannot is skipped.

    Args:
        channels: There are channels, where people talk among themselves and mention the bot.
        bots: Other bots talk there.
        changes: People change and delete what they wrote.
        reactions: People put emoji under messages.
        buttons: There are buttons under messages.
        asks: A button can ask for a sentence.
        commands: Commands are given natively, besides by text.
        private: What answers a message can be shown to one person alone.
        private_deeds: What answers a button or a native command can be.
        files_in: People send files.
        files_out: The bot posts files.
        reasoning: What the agent thought can be hidden and is shown on demand.
        streams: An answer is seen while it is written.
        splits: A message holds only so much.
        pings: A message may notify people.
        reads_back: The bot can read what was said before it came.
        threads: The bot can open threads.
        fails: The network to it may fail.
        remembers: What people see there outlives the bot's process.
    """

    channels: bool = True
    bots: bool = True
    changes: bool = True
    reactions: bool = True
    buttons: bool = True
    asks: bool = True
    commands: bool = True
    private: bool = True
    private_deeds: bool = True
    files_in: bool = True
    files_out: bool = True
    reasoning: bool = True
    streams: bool = True
    splits: bool = True
    pings: bool = True
    reads_back: bool = True
    threads: bool = True
    fails: bool = True
    remembers: bool = True


LACKS: Mapping[str, str] = MappingProxyType(
    {
        "channels": "there is no channel where the bot would have to be mentioned",
        "bots": "no other bots talk there",
        "changes": "nobody can change or delete what they wrote",
        "reactions": "there are no reactions",
        "buttons": "there are no buttons",
        "asks": "buttons ask nothing",
        "commands": "commands are given by text alone",
        "private": "what answers a message is shown to all who read there",
        "private_deeds": "what answers a button or a command is shown to all who read there",
        "files_in": "people send no files",
        "files_out": "the bot posts no files",
        "reasoning": "nothing can be hidden until it is wanted",
        "streams": "an answer is seen when it is whole",
        "splits": "a message holds an answer of any length",
        "pings": "nobody is notified there",
        "reads_back": "nothing can be known of what was said before",
        "threads": "the bot opens no threads",
        "fails": "there is no network that could fail",
        "remembers": "what people see there ends with the bot's process",
    }
)
"""Why a test is skipped, by the ability that it needs."""


class Stage(Protocol):
    """A platform with people on it, over a server of the test's own.

    Nothing here waits for the bot, but for ``connected`` and ``until``.
    """

    @property
    def name(self) -> str:
        """What the platform is called, for the reasons why tests are skipped."""
        ...

    @property
    def abilities(self) -> Abilities:
        """What can be shown there."""
        ...

    @property
    def bot_id(self) -> str:
        """The platform's id of the bot itself, as it stands in what the bot writes; empty where it has none."""
        ...

    @property
    def people(self) -> tuple[Person, Person]:
        """Two people; the first of them is who the tests mean by Ann."""
        ...

    @property
    def robot(self) -> Person | None:
        """Another bot; None without the ability ``bots``."""
        ...

    @property
    def channel(self) -> Where:
        """Where both people and the bot are, outside of threads. Without the ability ``channels`` a thread that both
        of them write in.
        """
        ...

    @property
    def loud(self) -> str:
        """Words that would notify people, in the platform's own markup: of a person, and of everybody; empty without
        the ability ``pings``.
        """
        ...

    def direct(self, person: Person) -> Where:
        """Where somebody and the bot are by themselves."""
        ...

    def platform(self) -> Platform:
        """The platform, not running, and knowing as little as after a restart."""
        ...

    async def connected(self) -> None:
        """Wait until the platform that was made last hears what people do."""
        ...

    async def say(
        self,
        person: Person,
        text: str,
        where: Where,
        *,
        mention: bool = False,
        to: Person | None = None,
        files: Sequence[ReplyFile] = (),
    ) -> Written:
        """Somebody writes.

        Args:
            person: Who.
            text: What.
            where: Where.
            mention: Whether the bot is mentioned before the text, where it has to be.
            to: Somebody else who is mentioned before the text.
            files: Files with it.
        """
        ...

    async def thread(self, person: Person, text: str) -> Where:
        """Somebody begins a thread in the channel, among people; needed with ``reads_back``."""
        ...

    async def edit(self, written: Written, text: str) -> None:
        """Who wrote a message changes what it says; that the bot is mentioned in it stays."""
        ...

    async def delete(self, written: Written) -> None:
        """Who wrote a message deletes it."""
        ...

    async def react(self, person: Person, seen: Seen, where: Where, emoji: str, *, added: bool = True) -> None:
        """Somebody puts an emoji (``"👍"`` or ``"👎"``) under a message, or takes it away."""
        ...

    async def press(self, person: Person, seen: Seen, where: Where, label: str) -> None:
        """Somebody presses a button; where that opens a window, it is open and nothing is written in it yet."""
        ...

    async def answer(self, person: Person, text: str) -> None:
        """Somebody answers what the button that asked last asks, once it does; with no text they send it off empty."""
        ...

    async def command(self, person: Person, name: str, text: str, where: Where) -> None:
        """Somebody gives a command natively; needed with ``commands``."""
        ...

    def seen(self, where: Where) -> Sequence[Seen]:
        """What stands there, oldest first."""
        ...

    def pinged(self) -> Sequence[str]:
        """Whom the bot's messages have notified so far."""
        ...

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait until something holds; it is looked at whenever people may see something new.

        Raises:
            TimeoutError: It does not in time. An ``AssertionError`` will do as well.
        """
        ...

    def fail_posts(self, *, passing: int = 0, times: int = 1) -> None:
        """Let the network fail for new messages of the bot's; needed with ``fails``.

        Args:
            passing: How many go well before.
            times: How many fail.
        """
        ...
