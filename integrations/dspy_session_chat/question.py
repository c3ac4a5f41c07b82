"""What is to be answered, and the turn that answers it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dspy_session.conversation import TakenTurn
from dspy_session.conversation.changing import Spans
from dspy_session_chat.action import Event
from dspy_session_chat.agents import Agent
from dspy_session_chat.asking import Asking
from dspy_session_chat.growing import ReplyStream
from dspy_session_chat.inbound import Inbound
from dspy_session_chat.waiting import Waiting


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be answered.

    Args:
        waiting: What the answer is posted to.
        agent: Who answers.
        inputs: The agent's inputs.
        also: Ids of further events that are done with it.
        instead_of: The id of the newest turn when the answer takes its place; empty when it follows it.
        answers: Ids of messages that are answered by it again.
        users: Whose words are asked, as ``forget_user`` knows them; the first stands for the turn. Where nobody is
            known it is whoever brought the event about.
        fresh: Whether the same answer as before will not do.
        message: What was written, to be asked again when there is no answer; None when nothing was.
        beside: What waited in the conversation when it was taken up, itself among it; None when nobody has looked.
        shown: The platform's ids of the messages that show something of an answer already.
        words: Where the words of each message stand in the input that holds them, as far as it is known.
        counted: Whether what asks for it is counted already; then only what its turn needs is.
        expected: Whether somebody waits for the answer, and is to hear why there is none.
        for_good: Whether the turn whose place the answer takes is deleted, rather than taken back.
    """

    waiting: Waiting
    agent: Agent
    inputs: Mapping[str, Any]
    also: tuple[str, ...] = ()
    instead_of: str = ""
    answers: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    fresh: bool = False
    message: Inbound | None = None
    beside: Sequence[Waiting] | None = None
    shown: tuple[str, ...] = ()
    words: Spans = field(default_factory=dict)
    counted: bool = False
    expected: bool = True
    for_good: bool = False

    @property
    def is_alone(self) -> bool:
        """Whether it is one message, asked for the first time."""
        return not (self.also or self.answers or self.instead_of or self.shown)

    @property
    def event(self) -> Event:
        """What the answer is posted to."""
        return self.waiting.event

    @property
    def may_grow(self) -> bool:
        """Whether it can be asked together with what comes: not where somebody asks for another answer."""
        return self.message is not None and self.message.event_id == self.event.event_id


@dataclass(slots=True)
class Run:
    """A turn that is under way.

    Args:
        question: What is answered.
        turn: The turn.
        asking: Asks people meanwhile.
        heard: What people have seen of the answer.
        stopping: Done when it is to end before its end: with the reason, and the ids of the events that want it.
    """

    question: Question
    turn: TakenTurn
    asking: Asking
    heard: list[str] = field(default_factory=list)
    stopping: asyncio.Future[tuple[str, tuple[str, ...]]] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    shown: ReplyStream | None = None
    read: dict[str, Waiting] = field(default_factory=dict)
    """What waits beside it, by event: read once, however often it is looked at."""
    stopped_by: list[Waiting] = field(default_factory=list)
    """What has stopped it, and gets no answer of its own."""
    told: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The ids of messages that were written down while it was shown, by the event that they are known under."""

    @property
    def text(self) -> str:
        """What people have seen of the answer."""
        return "".join(self.heard).strip()

    def known(self, first: str) -> tuple[str, ...]:
        """The ids of messages in which whoever takes the answer up next goes on.

        Args:
            first: The event that was taken up; once there is an answer it waits at what it is posted to.
        """
        if self.turn.reply:
            return (*self.turn.noted, *self.told.get(self.question.event.event_id, ()))
        return (*self.question.shown, *self.told.get(first, ()))
