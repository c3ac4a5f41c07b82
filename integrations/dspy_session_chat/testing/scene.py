"""A bot on a stage, and what a test wants to know of it."""

from __future__ import annotations

import asyncio
import unittest
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import dspy

from dspy_session import Turn, sessionify
from dspy_session.stores import Arrival, Commit, Forget, Lease, Posting, SqliteStore
from dspy_session_chat.bot import Bot
from dspy_session_chat.reply import ReplyFile
from dspy_session_chat.testing.stage import LACKS, Person, Seen, Stage, Where, Written

PATIENCE = 10.0
"""Seconds that a test waits for what should happen."""


def needs(stage: Stage, *abilities: str) -> None:
    """Skip a test that cannot be shown on a stage.

    Raises:
        unittest.SkipTest: The stage lacks one of the abilities.
    """
    for ability in abilities:
        if not getattr(stage.abilities, ability):
            raise unittest.SkipTest(f"{stage.name}: {LACKS[ability]}")


class Writes:
    """What was written to a store so far, and news of it.

    Attributes:
        received: Ids of the events that it was given to keep.
        posted: The platform's ids of the messages that hold answers.
        kinds: What entries were added to conversations.
    """

    def __init__(self) -> None:
        self.received: list[str] = []
        self.posted: set[str] = set()
        self.kinds: list[str] = []
        self._count = 0
        self._news = asyncio.Condition()

    async def tell(self) -> None:
        """Something was written."""
        async with self._news:
            self._count += 1
            self._news.notify_all()

    async def more_than(self, count: int) -> int:
        """Wait until it was written to oftener than that; how often it was."""
        async with self._news:
            await self._news.wait_for(lambda: self._count > count)
            return self._count

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait until what was written is as wanted.

        Raises:
            TimeoutError: It is not, in time.
        """
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(holds)


class WatchedStore(SqliteStore):
    """A store that tells when something was written, so that a test can wait for what nobody sees."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.writes = Writes()

    async def receive(self, arrival: Arrival) -> bool:
        """Keep a message."""
        is_new = await super().receive(arrival)
        if is_new:
            self.writes.received.append(arrival.event_id)
        await self.writes.tell()
        return is_new

    async def commit(self, commit: Commit) -> None:
        """Write a change."""
        await super().commit(commit)
        self.writes.kinds += [entry.kind for entry in commit.entries]
        await self.writes.tell()

    async def posted(self, lease: Lease, posting: Posting) -> None:
        """Note what is posted."""
        await super().posted(lease, posting)
        if posting.done:
            self.writes.posted.update(posting.message_ids)
        await self.writes.tell()

    async def forget(self, forget: Forget) -> int:
        """Delete for good."""
        count = await super().forget(forget)
        await self.writes.tell()
        return count


class Scene:
    """A bot that runs on a stage.

    Args:
        stage: The stage.
        bot: The bot.
        writes: What it has written down.
    """

    def __init__(self, stage: Stage, bot: Bot, writes: Writes) -> None:
        self.stage = stage
        self.bot = bot
        self.writes = writes
        self.ann, self.ben = stage.people
        self.home = stage.direct(self.ann)

    # --- what people do -----------------------------------------------------------------------------------------------

    async def say(self, text: str, where: Where | None = None, *, person: Person | None = None, **how: Any) -> Written:
        """Somebody writes: Ann, in a DM, unless said otherwise."""
        return await self.stage.say(person or self.ann, text, where or self.home, **how)

    async def ask(self, text: str, where: Where | None = None, *, person: Person | None = None, **how: Any) -> Seen:
        """Somebody writes to a parrot, and it answers."""
        written = await self.say(text, where, person=person, **how)
        return await self.reads(f"{text} (", written.answers)

    async def begin(self, text: str, person: Person | None = None) -> Where:
        """Somebody calls a parrot in the channel; where the talk goes on."""
        written = await self.say(text, self.stage.channel, person=person, mention=True)
        await self.reads(f"{text} (", written.answers)
        return written.answers

    async def press(self, label: str, seen: Seen, where: Where | None = None, person: Person | None = None) -> None:
        """Somebody presses a button."""
        await self.stage.press(person or self.ann, seen, where or self.home, label)

    async def react(
        self, emoji: str, seen: Seen, where: Where | None = None, *, person: Person | None = None, added: bool = True
    ) -> None:
        """Somebody puts an emoji under a message, or takes it away; nobody is so quick that the bot does not know by
        then what it has posted.
        """
        await self.writes.until(lambda: seen.id in self.writes.posted)
        await self.stage.react(person or self.ann, seen, where or self.home, emoji, added=added)

    # --- what people see ----------------------------------------------------------------------------------------------

    def said(self, where: Where | None = None) -> list[Seen]:
        """The bot's messages."""
        return [seen for seen in self.stage.seen(where or self.home) if seen.by_bot]

    def words(self, where: Where | None = None) -> str:
        """All that the bot says, with one space between two words."""
        return " ".join(" ".join(seen.text for seen in self.said(where)).split())

    def files(self, where: Where | None = None) -> list[ReplyFile]:
        """The files that the bot posted."""
        return [file for seen in self.said(where) for file in seen.files]

    async def reads(self, text: str, where: Where | None = None) -> Seen:
        """Wait until a message of the bot's says ``text``; the newest that does."""
        return await self.shows(lambda seen: text in seen.text, where, f"a message that says {text!r}")

    async def shows(self, holds: Callable[[Seen], object], where: Where | None = None, what: str = "") -> Seen:
        """Wait until a message of the bot's is as wanted; the newest that is.

        Raises:
            AssertionError: None is, in time.
        """

        def found() -> list[Seen]:
            return [seen for seen in self.said(where) if holds(seen)]

        await self.until(found, what or "a message as wanted", where)
        return found()[-1]

    async def until(self, holds: Callable[[], object], what: str, where: Where | None = None) -> None:
        """Wait until something is seen.

        Raises:
            AssertionError: It is not, in time.
        """
        try:
            await self.stage.until(holds)
        except (TimeoutError, AssertionError):
            stands = "\n".join(f"  {seen}" for seen in self.stage.seen(where or self.home)) or "  nothing"
            raise AssertionError(f"waited in vain for {what}; there stands\n{stands}") from None

    # --- what nobody sees ---------------------------------------------------------------------------------------------

    async def turns(self) -> list[Turn]:
        """What is remembered, of all conversations."""
        states = [await self.bot.conversations.state(info.key) for info in await self.bot.conversations.list()]
        return [turn for state in states for turn in state.turns]

    async def remembers(self, holds: Callable[[list[Turn]], object]) -> list[Turn]:
        """Wait until what is remembered is as wanted.

        Raises:
            AssertionError: It is not, in time.
        """
        turns: list[Turn] = []
        count = -1
        try:
            async with asyncio.timeout(PATIENCE):
                while count < 0 or not holds(turns):
                    count = await self.writes.more_than(count)
                    turns = await self.turns()
        except TimeoutError:
            stands = "\n".join(f"  {turn.inputs} → {turn.outputs} {turn.feedback}" for turn in turns) or "  nothing"
            raise AssertionError(f"what is remembered is not as wanted:\n{stands}") from None
        return turns

    async def arrived(self, count: int) -> None:
        """Wait until the bot has taken over so many events."""
        await self.writes.until(lambda: len(self.writes.received) >= count)


@asynccontextmanager
async def playing(stage: Stage, agent: dspy.Module, folder: Path, **options: Any) -> AsyncIterator[Scene]:
    """A bot on a stage, for the time of a block; for the same folder it is the same bot after a restart.

    Args:
        stage: The stage.
        agent: The agent; not a copy of it, so that a test can look into it.
        folder: Where the store is.
        options: Further options of the ``Bot``.
    """
    store = WatchedStore(folder / "bot.db")
    session = sessionify(agent, copy_mode="none")
    options = {"grace": 1.0, **options}
    bot = Bot(session, platforms=[stage.platform()], store=store, output_field="reply", **options)
    async with bot:
        serving, connected = asyncio.create_task(bot.serve()), asyncio.create_task(stage.connected())
        try:
            await asyncio.wait([serving, connected], return_when=asyncio.FIRST_COMPLETED)
            await (serving if serving.done() else connected)
            yield Scene(stage, bot, store.writes)
        finally:
            for task in (serving, connected):
                task.cancel()
            await asyncio.gather(serving, connected, return_exceptions=True)
