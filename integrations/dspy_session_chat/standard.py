"""The commands that every bot has."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dspy_session import SessionError, Turn
from dspy_session.conversation.changing import Spans
from dspy_session.errors import PlatformError
from dspy_session_chat.agents import Agent
from dspy_session_chat.answering import RETRY, Answering
from dspy_session_chat.beside import STOP
from dspy_session_chat.commands import Asked, BotCommand
from dspy_session_chat.inbound import Inbound
from dspy_session_chat.markup.cleaning import clean_line
from dspy_session_chat.means import Means
from dspy_session_chat.platform import CanOpenThread, Post
from dspy_session_chat.reply import Button, Reply, ReplyFile
from dspy_session_chat.rules.manners import is_direct, is_place
from dspy_session_chat.spelling import spelled

CONFIRMED = "yes"
LONGEST_GIST = 80
"""Characters of a message that a table shows."""
MOST_UNDONE = 100
IN_TABLE = 5
"""Exchanges that ``/history`` shows at once; all of them are in the file."""


class StandardCommands:
    """Carries them out.

    Args:
        means: What the bot works with.
        answering: Answers messages.
    """

    def __init__(self, means: Means, answering: Answering) -> None:
        self._means = means
        self._answering = answering

    def all(self) -> list[BotCommand]:
        """The commands, in the order in which people read of them."""
        return [
            BotCommand("help", "What I can do.", self.help, private=True),
            BotCommand("reset", "Start again: I forget what we said here.", self.reset, ("new",)),
            BotCommand("undo", "Take back the last answer, or several.", self.undo, takes="[how many]"),
            BotCommand(RETRY, "Answer the last message once more.", self.retry),
            BotCommand(STOP, "Stop the answer that I am writing.", self.stop, private=True),
            BotCommand("fork", "Open a new thread that starts from here.", self.fork, takes="[title]"),
            BotCommand("history", "What I remember of this conversation.", self.history, private=True),
            BotCommand("forget-me", "Delete all that you ever wrote to me, for good.", self.forget_me, private=True),
        ]

    async def help(self, asked: Asked) -> Reply:
        """What there is."""
        listed = self._means.commands.help(admin=self._means.access.is_admin(asked.event))
        written = await spelled(asked.platform, asked.event, "/help")
        how = "" if written == "/help" else f", written like `{written}`"
        return _private(f"Write to me, and I answer. I also know{how}:\n\n{listed}")

    async def stop(self, asked: Asked) -> Reply:
        """No answer is under way, or it would have been stopped before this."""
        return _private("There is nothing to stop.")

    async def reset(self, asked: Asked) -> None:
        """Start again."""
        await (await asked.changing(Reply("We start again: I no longer know what was said here."))).reset()

    async def undo(self, asked: Asked) -> Reply | None:
        """Take the newest turns back."""
        steps = 1 if not asked.text else _count(asked.text)
        if steps is None:
            example = await spelled(asked.platform, asked.event, "/undo 2")
            return _private(f"Write how many answers to take back, from 1 to {MOST_UNDONE}: `{example}`.")
        hold, holds = asked.job.hold, self._means.conversations.holds
        turns = (await holds.ready(hold, depth=steps)).known.state.turns[-steps:]
        if not turns:
            return _private("There is nothing to take back.")
        await (await asked.changing()).signal(turns[-1].id, "undone", by=asked.event.user)
        what = "the last answer" if len(turns) == 1 else f"the last {len(turns)} answers"
        agent = await self._agent(asked)
        gists = [f"- {self._shown(_said(turn, agent))}" for turn in turns]
        told = f"I took back {what}." if self._is_overheard(asked) else "\n".join([f"I took back {what}, to:", *gists])
        changing = await asked.changing(Reply(told))
        await holds.ready(hold, depth=steps)
        await changing.undo(len(turns))
        return None

    async def retry(self, asked: Asked) -> Reply | None:
        """Answer the last message once more: one that failed since, else the newest turn's."""
        failed = await self._failure(asked)
        if failed is not None:
            await self._answering.ask_again(asked.waiting, asked.job, *failed)
            return None
        turns = asked.job.hold.known.state.turns
        if not turns:
            return _private("There is nothing to answer once more.")
        if asked.text not in ("", turns[-1].id):
            return _private("Only the last answer can be given once more.")
        await (await asked.changing()).signal(turns[-1].id, "retried", by=asked.event.user)
        await self._means.conversations.holds.ready(asked.job.hold)
        await self._answering.retry(asked.waiting, asked.job, turns[-1])
        return None

    async def fork(self, asked: Asked) -> Reply:
        """Open a thread that starts from here."""
        if not isinstance(asked.platform, CanOpenThread):
            return _private("Here I cannot open threads.")
        if not is_place(asked.event, self._means.manners):
            return _private("All that is said here is one conversation, whatever the thread, so I cannot fork it.")
        turns = asked.job.hold.known.state.turns
        if not turns:
            return _private("There is nothing to start from yet.")
        title = clean_line(asked.text or f"From: {_gist(turns[-1], await self._agent(asked))}", LONGEST_GIST)
        try:
            opened = await asked.platform.open_thread(asked.event, title)
        except PlatformError as error:
            return _private(f"I could not open a thread: {error}")
        await self._means.conversations.fork_held(asked.job.hold, opened.key)
        return Reply(f"Here is a thread that goes on from here: {opened.link or self._means.polish(title)}")

    async def history(self, asked: Asked) -> Reply:
        """What is remembered, as a table and as a file."""
        if self._is_overheard(asked):
            return _private("What I remember is of all places where you talk to me: ask me in a DM.")
        turns = (await self._means.conversations.state(asked.key)).turns
        if not turns:
            return _private("I remember nothing of this conversation.")
        agent = await self._agent(asked)
        said = [(turn.index + 1, _said(turn, agent), agent.forms.words(turn.outputs)) for turn in turns[-IN_TABLE:]]
        rows = [f"| {number} | {_cell(self._shown(you))} | {_cell(self._shown(bot))} |" for number, you, bot in said]
        count = "1 exchange" if len(turns) == 1 else f"{len(turns)} exchanges, the last of them"
        text = "\n".join([f"I remember {count}:", "", "| | You | I |", "|---|---|---|", *rows])
        transcript = await asyncio.to_thread(_transcript, turns)
        return Reply(text, files=(ReplyFile("history.md", "text/markdown", transcript),), private=True)

    async def forget_me(self, asked: Asked) -> Reply | None:
        """Delete for good what somebody wrote."""
        if asked.text.strip().lower() != CONFIRMED:
            confirmed = await spelled(asked.platform, asked.event, f"/forget-me {CONFIRMED}")
            return Reply(
                "This deletes all that you ever wrote to me and what I answered, in every conversation, for good. "
                f"If you want that, write `{confirmed}`.",
                buttons=(Button("forget-me", "Delete it all", CONFIRMED, "danger"),),
                private=True,
            )
        count = await self._means.conversations.forget_user(asked.event.user)
        where = "1 conversation" if count == 1 else f"{count} conversations"
        done = _private(f"I deleted what you wrote to me and what I answered, in {where}.")
        # With all that they wrote this very command goes, so the answer to it cannot wait in the inbox.
        await asked.platform.post(Post(asked.event, done))
        asked.settled = ""
        return None

    # ------------------------------------------------------------------------------------------------------------------

    def _is_overheard(self, asked: Asked) -> bool:
        """Whether what is remembered was said elsewhere, and would be read here by others: not all platforms can show
        something to one person alone.
        """
        return self._means.manners.scope == "user" and not is_direct(asked.event)

    def _shown(self, text: str) -> str:
        """The beginning of somebody's words, or of an answer, as what may be posted."""
        return self._means.polish(clean_line(text, LONGEST_GIST)) or "…"

    async def _agent(self, asked: Asked) -> Agent:
        return await self._means.agent(asked.event, asked.job)

    async def _failure(self, asked: Asked) -> tuple[Inbound, tuple[str, ...], Spans] | None:
        """The message that had no answer, if nothing has been answered since, and whose words stand where in it."""
        known = asked.job.hold.known
        if known.numbers and known.numbers[-1] == known.length - 1:  # it ends with an answer
            return None
        found: Mapping[str, Any] | None = None
        async for entry in self._means.conversations.store.entries(asked.key):
            if entry.kind == "failed":
                found = json.loads(entry.body)
            elif entry.kind in ("turn", "reset", "undo"):
                found = None
        if found is None or found.get("message") is None:
            return None
        try:
            return Inbound.from_json(found["message"]), tuple(found.get("users", ())), found.get("words", {})
        except SessionError:
            return None


def _said(turn: Turn, agent: Agent) -> str:
    return str(turn.inputs.get(agent.fields.message) or "")


def _gist(turn: Turn, agent: Agent) -> str:
    return clean_line(_said(turn, agent), LONGEST_GIST) or "…"


def _private(text: str) -> Reply:
    return Reply(text, private=True)


def _count(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and 1 <= int(text) <= MOST_UNDONE else None


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _transcript(turns: Sequence[Turn]) -> bytes:
    return "\n".join(_lines(turns)).encode(errors="replace")


def _lines(turns: Sequence[Turn]) -> Iterator[str]:
    yield "# What I remember\n"
    for turn in turns:
        at = "" if turn.created_at is None else f" · {turn.created_at:%Y-%m-%d %H:%M} UTC"
        yield f"## {turn.index + 1}{at}\n"
        for values in (turn.inputs, turn.outputs):
            for name, value in values.items():
                yield f"**{name}**: {value}\n"
