"""Bringing answers to their platforms, each once, and only for as long as the conversation is ours."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dspy_session.conversation import Conversations
from dspy_session.conversation.journal import Change
from dspy_session.conversation.runtime import Job, TryLaterError
from dspy_session.conversation.unbroken import unbroken
from dspy_session.errors import PlatformError, PlatformUnavailableError, SessionError, StaleJournalError
from dspy_session.stores import Posting, Settled
from dspy_session_chat.action import Event
from dspy_session_chat.deciding import OpenQuestion
from dspy_session_chat.growing import ShowsWaiting
from dspy_session_chat.platform import Platform, Post, PostedInPartError, RefusedInPartError
from dspy_session_chat.reply import Reply
from dspy_session_chat.waiting import Waiting

logger = logging.getLogger(__name__)

READ_TRIES = 6
"""How often an answer is tried to be read that cannot be: about half a minute, for a process with a newer version."""
POST_TRIES = 12
"""How often an answer is posted at least while the platform cannot be reached."""
POST_SECONDS = 600.0
"""Seconds from the message on in which that is not given up: several processes are soon through with their tries."""


@dataclass(frozen=True, slots=True)
class Poster:
    """Posts what is committed.

    Args:
        conversations: Where it is kept.
        platforms: Where it goes, by name.
        most: Posts that one answer may be split into.
        growing: Which conversation a message belongs to that shows a part of an answer, by scope and message id:
            people react before the answer is whole.
        questions: What people are asked at this moment, by what the buttons are about.
    """

    conversations: Conversations
    platforms: Mapping[str, Platform]
    most: int
    growing: dict[tuple[str, str], str] = field(default_factory=dict)
    questions: dict[str, OpenQuestion] = field(default_factory=dict)

    def platform(self, waiting: Waiting) -> Platform:
        """The platform that an event came from.

        Raises:
            TryLaterError: The bot has none of that name.
        """
        platform = self.platforms.get(waiting.platform)
        if platform is None:
            raise TryLaterError(f"the bot has no platform {waiting.platform!r} any more")
        return platform

    async def post(self, waiting: Waiting, job: Job, reply: str, shown: Sequence[str] = ()) -> None:
        """Post an answer that is committed, if the conversation is still ours.

        Args:
            waiting: What is answered.
            job: The conversation.
            reply: The answer, as ``Reply.to_json`` wrote it; empty when there is nothing to say.
            shown: The messages that show a part of it already.

        Raises:
            TryLaterError: The platform cannot be reached; it is to be tried again.
            StaleJournalError: Another process has the conversation now.
        """
        if not reply:
            await self.nothing_to_say(waiting)
            return
        platform = self.platform(waiting)
        await see_that_it_is_ours(job)
        event = waiting.event
        ids: Sequence[str] = ()
        try:
            said = Reply.from_json(json.loads(reply))
        except (SessionError, ValueError, RecursionError) as error:  # a newer version of the bot may be able to
            if job.work.attempts < READ_TRIES:
                raise TryLaterError(str(error)) from error
            logger.error("The answer to %s in %s is left out: %s", event.event_id, event.key, error)  # noqa: TRY400
            await job.posted(Posting(event.event_id))
            return
        try:
            ids = (await platform.post(Post(event, said, tuple(shown), self.most))).message_ids
        except PlatformUnavailableError as error:
            if isinstance(error, PostedInPartError) and error.message_ids:
                ids = error.message_ids
                await job.posted(Posting(event.event_id, error.message_ids, done=False))
            age = self.conversations.clock() - job.work.arrival.received_at
            if job.work.attempts < POST_TRIES or age < POST_SECONDS:
                raise TryLaterError(str(error)) from error
            logger.exception("The answer to %s in %s was given up", event.event_id, event.key)
        except PlatformError as error:  # it refuses it for good, and has said all that there is to say
            if isinstance(error, RefusedInPartError):
                ids = error.message_ids
            logger.error("The answer to %s in %s was not posted: %s", event.event_id, event.key, error)  # noqa: TRY400
        except Exception:
            logger.exception("The answer to %s in %s was not posted", event.event_id, event.key)
        with self._known_already(waiting, job, ids):
            await job.posted(Posting(event.event_id, tuple(ids), said.turn_id, waiting.scope))

    @contextlib.contextmanager
    def _known_already(self, waiting: Waiting, job: Job, ids: Sequence[str]) -> Iterator[None]:
        """Let an answer be found by its messages while it is written down where it stands."""
        posts = [(waiting.scope, each) for each in ids]
        self.growing.update(dict.fromkeys(posts, job.hold.key))
        try:
            yield
        finally:
            for each in posts:
                self.growing.pop(each, None)

    async def nothing_to_say(self, waiting: Waiting) -> None:
        """See that nothing shows any more that an answer to an event is on its way: none comes."""
        platform = self.platforms.get(waiting.platform)
        if isinstance(platform, ShowsWaiting):
            await platform.nothing_to_say(waiting.event)

    async def settle(self, waiting: Waiting, job: Job, reply: Reply | None = None, *, also: Sequence[str] = ()) -> None:
        """Be done with an event that changes nothing, and say something of the bot's own if there is anything to say.

        Args:
            waiting: The event.
            job: The conversation.
            reply: What is said; None for nothing.
            also: Ids of further events that are done with it.
        """
        written = "" if reply is None else json.dumps(reply.to_json())
        settled = Settled(waiting.event.event_id, written, received=True)
        await (await job.changing(settled, also=also)).settle()
        await self.post(waiting, job, written, job.work.shown)

    async def answer_beside(self, waiting: Waiting, job: Job, reply: Reply | None) -> None:
        """Settle an event with words of the bot's own, while a turn runs in its conversation.

        Args:
            waiting: The event, in the same conversation as the job's.
            job: The conversation.
            reply: What is said; None for nothing.
        """
        # The turn may end meanwhile; what is half posted then would be posted once more.
        await unbroken(self._answer_beside(waiting, job, reply))

    async def _answer_beside(self, waiting: Waiting, job: Job, reply: Reply | None) -> None:
        written = "" if reply is None else json.dumps(reply.to_json())
        async with job.hold.writing:
            await self.conversations.holds.ready(job.hold)  # a turn that took another's place has just been written
            unchanged = Change((), job.hold.known.marks)
            settled = Settled(waiting.event.event_id, written, received=True)
            await self.conversations.write(job.hold, unchanged, (), settled)
        try:
            await self.post(waiting, job, written)
        except TryLaterError as error:  # it is committed: whoever has the conversation next posts it
            logger.info("An answer in %s waits to be posted: %s", job.hold.key, error)


async def see_that_it_is_ours(job: Job) -> None:
    """See that no other process has taken the conversation over: to be asked before something is posted.

    Raises:
        StaleJournalError: One has.
    """
    if not await job.is_ours():
        raise StaleJournalError(f"{job.hold.key} was taken over: another process posts the answer")


def in_words(event: Event) -> str:
    """An event, for the log."""
    return f"{event.event_id} in {event.key}"
