"""What a bot works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import dspy

from dspy_session.conversation import Conversations
from dspy_session.conversation.runtime import Job
from dspy_session_chat.action import Event
from dspy_session_chat.agents import Agent, Agents
from dspy_session_chat.commands import Commands
from dspy_session_chat.files.attachments import FileLimits
from dspy_session_chat.posting import Poster
from dspy_session_chat.ratings import Ratings
from dspy_session_chat.rules.access import Access
from dspy_session_chat.rules.gate import Gate
from dspy_session_chat.rules.limits import Limits
from dspy_session_chat.rules.manners import Manners


@dataclass(frozen=True, slots=True)
class Means:
    """What a bot works with.

    Args:
        conversations: Its conversations.
        poster: Posts what is committed.
        agents: Which agent answers where.
        polish: Makes of anybody's words what may be posted.
        manners: How it behaves among people.
        limits: How much people may ask.
        access: Who may ask.
        gate: Lets messages in.
        files: How much of people's files is read.
        ratings: What reactions are worth.
        commands: What it can be told to do.
        lm: The language model; what ``dspy.configure`` set if None.
        now: The time.
        lease_seconds: How long a lease on a conversation lasts.
    """

    conversations: Conversations
    poster: Poster
    agents: Agents
    polish: Callable[[str], str]
    manners: Manners
    limits: Limits
    access: Access
    gate: Gate
    files: FileLimits
    ratings: Ratings
    commands: Commands
    lm: dspy.BaseLM | None
    now: Callable[[], datetime]
    lease_seconds: float

    async def agent(self, event: Event, job: Job) -> Agent:
        """The agent of the conversation that is held, and that an event belongs to."""
        hold = await self.conversations.holds.ready(job.hold)
        return self.agents.of(event, hold.known.marks)
