"""What comes in a conversation while a turn runs in it, seen as it comes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence

from dspy_session import SessionError
from dspy_session.conversation.runtime import Job
from dspy_session.errors import StaleJournalError, StoreError
from dspy_session_chat.action import Action, Deletion, Press
from dspy_session_chat.beside import TOO_BUSY, TOO_MANY, verdicts
from dspy_session_chat.inbound import Inbound
from dspy_session_chat.means import Means
from dspy_session_chat.posting import see_that_it_is_ours
from dspy_session_chat.question import Run
from dspy_session_chat.reply import Reply
from dspy_session_chat.waiting import Waiting

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""How often it is looked whether another process has received something in the conversation."""
DELETED = "deleted"
"""Why an answer is stopped whose message is gone."""
CROWD = 100
"""Events that may wait beside an answer before each news of them is no longer looked at at once."""


class Looking:
    """Handles what cannot wait until the turn ends: who stops it or deletes what it answers, who is turned away, who
    decides a question.

    Args:
        means: What the bot works with.
    """

    def __init__(self, means: Means) -> None:
        self._means = means

    async def look(self, run: Run, job: Job) -> None:
        """Handle what comes in the conversation while the turn runs, as far as it cannot wait.

        Raises:
            StaleJournalError: Another process has the conversation now.
        """
        question = run.question
        seen = {question.event.event_id, *question.also}
        found, came_before = question.beside, job.follows
        while not run.stopping.done():
            try:
                # People take long, and a process that has lost the conversation hears nothing.
                if run.asking.is_waiting:
                    await see_that_it_is_ours(job)
                if found is None:
                    found = await pending(self._means, job, question.waiting, run.read)
                await self._beside(
                    run, job, [each for each in found if each.event.event_id not in seen], seen, came_before
                )
                came_before = False
            except StoreError as error:
                if isinstance(error, StaleJournalError) and not await self._is_ours(job):
                    raise
                logger.warning("What comes in %s is not seen for now: %s", job.hold.key, error)
            except Exception:  # whatever it is, an answer must not become one that nobody can stop
                logger.exception("What comes in %s is not seen for now", job.hold.key)
            crowd, found = 0 if found is None else len(found), None
            if crowd > CROWD:  # looking at all of them anew for each one that comes would hold everybody up
                await asyncio.sleep(min(LOOK_SECONDS, crowd / 1000))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await job.news.wait()

    async def _beside(self, run: Run, job: Job, waiting: Sequence[Waiting], seen: set[str], came_before: bool) -> None:
        """Handle what waits in the conversation, as far as it cannot wait any longer.

        Args:
            run: The turn.
            job: The conversation.
            waiting: What waits and was not handled yet.
            seen: The ids of what was handled, to be added to.
            came_before: Whether it came while another answer was under way: then nobody means this one.
        """
        means = self._means
        for each, verdict in verdicts(waiting, means.manners, means.commands):
            if verdict == "later" and not _deletes(each, run):
                continue
            if verdict == "stop" and not self._may_stop(run, each):
                continue
            if verdict == "interrupt" and each.platform != run.question.waiting.platform:
                continue  # it cannot be answered together with this one
            seen.add(each.event.event_id)
            if _deletes(each, run):  # what becomes of the turn is seen once it stands
                run.stopping.set_result((DELETED, ()))
                return
            if verdict in ("stop", "interrupt"):
                if verdict == "stop" and came_before:
                    continue
                if verdict == "stop":
                    run.stopped_by.append(each)
                run.stopping.set_result(
                    ("stopped", (each.event.event_id,)) if verdict == "stop" else ("interrupted", ())
                )
                return
            try:
                if verdict == "decide":
                    await run.asking.decide(each)
                else:
                    said = TOO_BUSY if verdict == "too busy" else TOO_MANY
                    await means.poster.answer_beside(each, job, Reply(said, private=True))
            except StoreError:
                seen.discard(each.event.event_id)  # the next look has another try at it
                raise

    def _may_stop(self, run: Run, each: Waiting) -> bool:
        """Whether somebody who wants to stop the answer may talk to the bot at all, and means this answer."""
        event = each.event
        deed = event.deed if isinstance(event, Action) else None
        about = deed.about if isinstance(deed, Press) else ""
        ours = ("", run.question.event.event_id, *run.question.also)
        return about in ours and self._means.access.denial(event) is None

    async def _is_ours(self, job: Job) -> bool:
        try:
            return await job.is_ours()
        except StoreError:  # the next look tells
            return True


def _deletes(each: Waiting, run: Run) -> bool:
    """Whether an event is the end of a message that is being answered."""
    deed = each.event.deed if isinstance(each.event, Action) else None
    question = run.question
    return isinstance(deed, Deletion) and deed.message_id in (
        question.event.event_id,
        *question.also,
        *question.answers,
    )


async def pending(means: Means, job: Job, known: Waiting, read: dict[str, Waiting] | None = None) -> list[Waiting]:
    """What waits in a conversation; news of what comes from now on is news again.

    Messages of those who may not talk to the bot are left out: they stop nobody's answer and are part of none.

    Args:
        means: What the bot works with.
        job: The conversation.
        known: The event that is handled.
        read: What was read the last time, by event; afterwards what is read now.
    """
    found, before = [], {} if read is None else dict(read)
    if read is not None:
        read.clear()
    job.news.clear()
    for arrival in await job.pending():
        try:
            is_known = arrival.event_id == known.event.event_id
            each = known if is_known else before.get(arrival.event_id) or Waiting.from_json(arrival.payload)
        except SessionError as error:
            logger.debug("%s is left for later: %s", arrival.event_id, error)
            continue
        if read is not None:
            read[arrival.event_id] = each
        is_message = isinstance(each.event, Inbound)
        if is_known or not is_message or means.access.denial(each.event) is None:
            found.append(each)
    return found
