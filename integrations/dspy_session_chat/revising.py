"""What becomes of a turn when somebody changes or deletes a message that it answered."""

from __future__ import annotations

from typing import Any

from dspy_session import Turn
from dspy_session.conversation.changing import Changing, Spans
from dspy_session.conversation.runtime import Job
from dspy_session.stores import Settled
from dspy_session_chat.action import Action, Deletion, Edit
from dspy_session_chat.agents import Agent
from dspy_session_chat.answering import Answering
from dspy_session_chat.markup.cleaning import clean, clean_line
from dspy_session_chat.means import Means
from dspy_session_chat.naming import named
from dspy_session_chat.reply import Reply
from dspy_session_chat.rules.limits import too_long
from dspy_session_chat.spoken import spliced
from dspy_session_chat.waiting import Waiting

DELETED = "(deleted by its author)"
"""What stands in the place of a message that was deleted, where the conversation has gone on since, or where others
were answered with it."""


class Revising:
    """Changes what was said.

    Args:
        means: What the bot works with.
        answering: Answers messages.
    """

    def __init__(self, means: Means, answering: Answering) -> None:
        self._means = means
        self._answering = answering

    async def edit(self, waiting: Waiting, action: Action, edit: Edit, job: Job) -> None:
        """Let a message say something else: the newest turn runs again, earlier ones are changed."""
        changing, turn = await self._turn_of(edit.message_id, job)
        if turn is None or self._means.access.denial(action) is not None:
            await self._means.poster.settle(waiting, job)
            return
        refusal = too_long(self._means.limits, edit.text)
        if refusal is not None:
            await self._means.poster.settle(waiting, job, Reply(refusal, private=True))
            return
        agent = await self._means.agent(action, job)
        changed = await named(self._means.poster.platform(waiting), action)
        text, words = await self._edited(turn, agent, changed, changing)
        inputs = _with_words(turn, agent, text)
        if inputs == turn.inputs:
            await self._means.poster.settle(waiting, job)
        elif self._means.manners.rerun_edits and self._is_newest(turn, job):
            await changing.signal(turn.id, "resent", by=action.user)
            await self._means.conversations.holds.ready(job.hold)
            await self._answering.retry(waiting, job, turn, inputs, words)
        else:
            await (await job.changing(Settled(action.event_id, received=True))).edit(turn.id, inputs, None, words)

    async def deletion(self, waiting: Waiting, deletion: Deletion, job: Job) -> None:
        """Take a message out of what is remembered, for good: its words, and the newest turn where they were all that
        it answered. One that had no answer was kept to be asked again.
        """
        changing, turn = await self._turn_of(deletion.message_id, job)
        agent = await self._means.agent(waiting.event, job)
        left = None if turn is None else await self._without(turn, agent, deletion, changing)
        changing = await job.changing(Settled(waiting.event.event_id, received=True))
        if turn is None or (left is None and self._is_newest(turn, job)):
            await changing.delete(deletion.message_id)
        elif left is None:
            inputs = agent.fields.without_files(_with_words(turn, agent, DELETED))
            await changing.edit(turn.id, inputs, None, deleted=deletion.message_id)
        else:
            text, words = left
            await self._take_out(waiting, deletion, job, turn, _with_words(turn, agent, text), words)

    async def _take_out(
        self, waiting: Waiting, deletion: Deletion, job: Job, turn: Turn, inputs: dict[str, Any], words: Spans
    ) -> None:
        """Take one of several messages out of a turn; the newest is answered anew without it."""
        rerun = self._means.manners.rerun_edits and self._is_newest(turn, job)
        if not rerun or self._means.access.denial(waiting.event) is not None:
            settled = Settled(waiting.event.event_id, received=True)
            await (await job.changing(settled)).edit(turn.id, inputs, None, words, deleted=deletion.message_id)
            return
        # The words go whatever becomes of the new answer: there may be too little left for one.
        await (await job.changing()).edit(turn.id, inputs, None, words, deleted=deletion.message_id)
        await self._means.conversations.holds.ready(job.hold)
        await self._answering.retry(waiting, job, turn, inputs, words, without=deletion.message_id)

    async def _turn_of(self, message_id: str, job: Job) -> tuple[Changing, Turn | None]:
        changing = await job.changing()
        return changing, await changing.turn_of(message_id)

    async def _edited(self, turn: Turn, agent: Agent, action: Action, changing: Changing) -> tuple[str, Spans]:
        """What the agent reads once a message that a turn answered was changed, and whose words stand where in it."""
        edit = action.deed
        assert isinstance(edit, Edit)
        name, before = clean_line(action.author.name), _words(turn, agent)
        told = await changing.told_of(turn.id)
        found = spliced(before, told.words, edit.message_id, edit.text)
        if found is not None:
            return found
        if len(told.messages) > 1:  # what others wrote stands in it too, and stays
            return clean(f"{before}\n\n({name} has changed a message, which says now: {edit.text})"), {}
        return clean(f"{name}: {edit.text}" if self._means.manners.speakers == "prefix" else edit.text), {}

    async def _without(
        self, turn: Turn, agent: Agent, deletion: Deletion, changing: Changing
    ) -> tuple[str, Spans] | None:
        """What the agent reads once a message is deleted, and whose words stand where in it.

        None where nothing is left besides, and where it is not known what of it was that message's: then all goes.
        """
        told = await changing.told_of(turn.id)
        found = spliced(_words(turn, agent), told.words, deletion.message_id, DELETED)
        if found is None or _has_files(turn, agent, told.words):
            return None
        text, words = found
        left = [message for message, (start, end) in words.items() if text[start:end] != DELETED]
        return (text, words) if left else None

    def _is_newest(self, turn: Turn, job: Job) -> bool:
        turns = job.hold.known.state.turns
        return bool(turns) and turns[-1].id == turn.id


def _has_files(turn: Turn, agent: Agent, words: Spans) -> bool:
    """Whether files came with what a turn answered: with which of several messages nobody knows any more."""
    fields, inputs = agent.fields, turn.inputs
    after = _words(turn, agent)[max(end for _, end in words.values()) :]
    return any([after, inputs.get("attachments"), *(inputs.get(field.name) for field in fields.images)])


def _words(turn: Turn, agent: Agent) -> str:
    return str(turn.inputs.get(agent.fields.message) or "")


def _with_words(turn: Turn, agent: Agent, text: str) -> dict[str, Any]:
    return {**turn.inputs, agent.fields.message: text}
