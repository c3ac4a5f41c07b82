"""A conversation in the terminal, or through a pipe."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TextIO

from dspy.streaming import StatusMessage, StreamResponse

from dspy_session.conversation import ConversationKey, Conversations, TakenTurn, TurnRequest
from dspy_session_bots.console import complain, explained, harmless
from dspy_session_bots.playground.commands import USUAL
from dspy_session_chat import Author, Inbound
from dspy_session_chat.fields import AgentFields

YOU = Author(id="you", name="You")
PROMPT = "> "
COMMANDS = frozenset(f"/{command.name}" for command in USUAL)
"""What a bot would take for a command; other words after a slash are words."""


def conversation_key(thread: str) -> ConversationKey:
    """The conversation that a thread's name stands for."""
    return ConversationKey("terminal", "", thread)


@dataclass(frozen=True, slots=True)
class Terminal:
    """A person at a keyboard, or a program at the other end of a pipe.

    Each line is a message. A person sees answers as they are written; a pipe gets each answer whole, and nothing else.
    A person goes on after an answer failed; a pipe ends there, because what follows may build on it.

    Args:
        conversations: The agent's conversations.
        fields: Which of the agent's fields take the message and hold the answer.
        key: The conversation.
        greeting: What a person is told at the start.
        notice: What a pipe is told at the start, on stderr; nothing if empty.
        verbose: Whether to show where an error came from.
    """

    conversations: Conversations
    fields: AgentFields
    key: ConversationKey
    greeting: str
    notice: str = ""
    verbose: bool = False

    def talk(self) -> bool:
        """Talk until the end of the input.

        Returns:
            False when a pipe was left with a message that has no answer.
        """
        by_hand = sys.stdin.isatty()
        # The loop stands still while a line is awaited, so that Ctrl-C at the prompt leaves, as everybody expects, and
        # lines can be edited; Ctrl-C during an answer cancels that answer alone.
        with asyncio.Runner() as runner:
            runner.run(self.conversations.open())
            try:
                if by_hand:
                    self._greet(len(runner.run(self.conversations.state(self.key))))
                elif self.notice:
                    complain(self.notice)
                for line in _typed() if by_hand else _piped():
                    answered = not line.strip() or self._answer(runner, line.strip(), by_hand=by_hand)
                    if not answered and not by_hand:
                        return False
            finally:
                runner.run(self.conversations.aclose())
        return True

    def _greet(self, turns: int) -> None:
        _tell(self.greeting)
        if turns:
            _tell(f"This conversation has {turns} turn{'s' if turns > 1 else ''} already.")

    def _answer(self, runner: asyncio.Runner, text: str, *, by_hand: bool) -> bool:
        word = text.split(maxsplit=1)[0]
        if word in COMMANDS:
            complain(f"{word} was not sent: commands work in a bot; try dspy-bots demo, or run … --playground")
            return False
        try:
            runner.run(self._turn(text))
        except KeyboardInterrupt:
            if not by_hand:
                raise
            _tell("\n(stopped; nothing of this was kept)")
        except BrokenPipeError:  # nobody reads the answers any more
            raise
        except Exception as error:  # noqa: BLE001  # whatever failed, the person who asked must hear of it
            if self.verbose:
                traceback.print_exception(error)
            complain(f"no answer: {explained(error)}")
            return False
        return True

    async def _turn(self, text: str) -> None:
        now = datetime.now(UTC)
        inbound = Inbound(self.key, "", YOU, text, "direct", now)
        request = TurnRequest(str(self.key), self.fields.inputs(inbound, now), author=YOU.id, author_name=YOU.name)
        async with self.conversations.turn(request) as turn:
            assert turn is not None  # only an event that ran before gives None
            if sys.stdout.isatty():
                await self._show(turn)
            else:
                sys.stdout.write(f"{self.fields.text(await turn.run())}\n")
                sys.stdout.flush()

    async def _show(self, turn: TakenTurn) -> None:
        """Write an answer as it comes."""
        shown = ""
        result = None
        async with contextlib.aclosing(turn.stream(self.fields.reply)) as items:
            async for item in items:
                if isinstance(item, StreamResponse):
                    shown += item.chunk
                    _write(item.chunk)
                elif isinstance(item, StatusMessage):
                    _tell(item.message)
                else:
                    result = item
        whole = self.fields.text(result)
        # What was not streamed: all of it where the adapter cannot stream, or the agent chose other words at last.
        _write(whole.removeprefix(shown) if whole.startswith(shown) else f"\n{whole}")
        _write("\n")


def _typed() -> Iterator[str]:
    """The lines that a person types, until Ctrl-D or Ctrl-C."""
    with contextlib.suppress(ImportError):  # not there on Windows
        importlib.import_module("readline")  # lines can be edited once it is imported
    prompt = PROMPT if sys.stdout.isatty() else ""
    while True:
        if not prompt:
            _write(PROMPT, sys.stderr)
        try:
            yield input(prompt)
        except (EOFError, KeyboardInterrupt):
            _tell("")
            return


def _piped() -> Iterator[str]:
    """The lines that a program sends."""
    reconfigure = getattr(sys.stdin, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(encoding="utf-8", errors="replace")
    yield from sys.stdin


def _write(text: str, stream: TextIO | None = None) -> None:
    stream = stream or sys.stdout
    stream.write(harmless(text))
    stream.flush()


def _tell(text: str) -> None:
    """Say something that is no answer."""
    styled = sys.stderr.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    dim, plain = ("\033[2m", "\033[0m") if styled else ("", "")
    print(f"{dim}{harmless(text)}{plain}", file=sys.stderr, flush=True)  # noqa: T201
