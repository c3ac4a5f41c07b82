"""From a message to its answer: shown while it is made, stopped when somebody wants that, and never lost."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dspy_session import SessionError, Turn
from dspy_session.conversation import TurnRequest
from dspy_session.conversation.changing import Spans
from dspy_session.conversation.runtime import Job
from dspy_session.errors import StaleJournalError, StoreError
from dspy_session.stores import Posting, Settled
from dspy_session_chat.action import Action, Edit
from dspy_session_chat.agents import Agent
from dspy_session_chat.asking import Asking
from dspy_session_chat.before import seed_of
from dspy_session_chat.beside import Together, as_one, together
from dspy_session_chat.files.attachments import READERS, Read, read_attachments
from dspy_session_chat.inbound import Inbound
from dspy_session_chat.letting_in import LettingIn
from dspy_session_chat.looking import DELETED, pending
from dspy_session_chat.means import Means
from dspy_session_chat.naming import named
from dspy_session_chat.platform import CanFetch, CanReadBack, Platform
from dspy_session_chat.posting import in_words
from dspy_session_chat.question import Question, Run
from dspy_session_chat.reply import Button, Reply
from dspy_session_chat.rules.gate import Refused
from dspy_session_chat.rules.limits import too_many_steps, too_slow
from dspy_session_chat.rules.steps import StepsUsedUpError
from dspy_session_chat.running import Running
from dspy_session_chat.spelling import spelled
from dspy_session_chat.spoken import spans_of
from dspy_session_chat.waiting import Waiting

logger = logging.getLogger(__name__)

ATTEMPTS = 3
"""How often a message is begun to be answered: one that ends each process that tries must not end all of them."""
GIVEN_UP = f"it was begun {ATTEMPTS} times, and no process came to its end"
"""Why a message is begun no more, for the log and the journal."""
RETRY = "retry"
"""The command and the button that ask for another answer."""
WRITE_TO_ME = "Write to me, and I answer; `{}` says what else I know."
"""What people read who call the bot and say nothing."""


class Answering:
    """Answers messages.

    Args:
        means: What the bot works with.
    """

    def __init__(self, means: Means) -> None:
        self._means = means
        self._running = Running(means)
        self._letting_in = LettingIn(means)
        self._readers = asyncio.Semaphore(READERS)

    # --- what is asked --------------------------------------------------------------------------------------------

    async def answer(self, waiting: Waiting, job: Job) -> None:
        """Answer a message, with those that belong to it."""
        shown: tuple[str, ...] | None = job.work.shown
        counted: set[str] = set()
        while shown is not None:
            means = self._means
            beside = await pending(means, job, waiting)
            if means.access.denial(waiting.event) is not None:  # nobody else's message lets it in
                beside = [each for each in beside if each.event.event_id == waiting.event.event_id]
            platform = means.poster.platform(waiting)
            beside = await asyncio.gather(*(_with_names(platform, each) for each in beside))
            found = together(waiting, beside, means.manners, means.commands)
            let_in = await self._letting_in.let_in(waiting, job, found, beside, counted)
            if let_in is None:
                return
            if len(let_in) < len(beside):
                beside, found = let_in, together(waiting, let_in, means.manners, means.commands)
            if not found.messages:  # whoever wrote it has deleted it meanwhile
                also = [each for each in found.also if each != waiting.event.event_id]
                await (await job.changing(self._settled(waiting), also=also)).settle()
                return
            said = await asyncio.gather(*(named(platform, each) for each in found.messages))
            found = replace(found, messages=tuple(said))
            message = as_one(found.messages, means.manners)
            if not message.text and not message.attachments and means.access.denial(message) is None:
                await self._say_what_to_do(waiting, job, found, counted)
                return
            users = tuple(dict.fromkeys(each.user for each in reversed(found.messages)))
            to = replace(waiting, event=found.messages[-1])
            words = spans_of(found.messages, means.manners)
            is_counted = found.messages[-1].event_id in counted
            counted.update(each.event_id for each in found.messages)
            shown = await self._ask(
                to, job, message, users, words, also=found.also, beside=beside, shown=shown, counted=is_counted
            )

    async def _say_what_to_do(self, waiting: Waiting, job: Job, found: Together, counted: set[str]) -> None:
        """Answer a mention and nothing else; in a thread, where it may be a sticker, there is nothing to say."""
        last = found.messages[-1]
        to, reply = replace(waiting, event=last), ""
        if last.addressed in ("direct", "mention"):
            decided = None if last.event_id in counted else await self._means.gate.count(last)
            if isinstance(decided, Refused):
                await self._letting_in.refuse(to, job, decided, also=found.also, shown=job.work.shown)
                return
            help_ = await spelled(self._means.poster.platform(to), last, "/help")
            reply = json.dumps(Reply(WRITE_TO_ME.format(help_), private=True).to_json())
        await (await job.changing(self._settled(to, reply, job.work.shown), also=found.also)).settle()
        await self._means.poster.post(to, job, reply, job.work.shown)

    async def ask_again(
        self, waiting: Waiting, job: Job, message: Inbound, users: tuple[str, ...] = (), words: Spans | None = None
    ) -> None:
        """Answer a message that had no answer, where ``waiting`` asks for one; the rest is as in a ``Question``."""
        answers = tuple(words or (message.event_id,))
        await self._ask(waiting, job, message, users, words or {}, answers=answers, shown=job.work.shown, counted=True)

    async def retry(
        self,
        waiting: Waiting,
        job: Job,
        turn: Turn,
        inputs: Mapping[str, Any] | None = None,
        words: Spans | None = None,
        without: str = "",
    ) -> None:
        """Answer anew what the newest turn answered.

        Args:
            waiting: What asks for it, and where the new answer goes.
            job: The conversation.
            turn: The newest turn.
            inputs: What the agent is asked now; the same as in the turn if None.
            words: Where the words of each message stand in these.
            without: The id of a message that was deleted: it is not answered any more, and whoever deleted it waits for
                no answer.
        """
        told = await (await job.changing()).told_of(turn.id)
        question = Question(
            waiting,
            await self._means.agent(waiting.event, job),
            turn.inputs if inputs is None else inputs,
            instead_of=turn.id,
            answers=tuple(each for each in told.messages if each != without),
            users=told.users,
            fresh=inputs is None,
            shown=job.work.shown,
            words=told.words if inputs is None else words or {},
            counted=inputs is None,  # as the command that it is
            expected=not without,
            for_good=bool(without),
        )
        await self._admit_and_run(question, job)

    async def _ask(
        self,
        waiting: Waiting,
        job: Job,
        message: Inbound,
        users: tuple[str, ...],
        words: Spans,
        *,
        also: tuple[str, ...] = (),
        answers: tuple[str, ...] = (),
        beside: Sequence[Waiting] | None = None,
        shown: tuple[str, ...] = (),
        counted: bool = False,
    ) -> tuple[str, ...] | None:
        """Answer a message.

        Returns:
            None once it is answered; when it is to be answered together with what has come since, the ids of the
            messages in which that was to be shown.
        """
        means = self._means
        platform = means.poster.platform(waiting)
        agent = await means.agent(message, job)
        read = await self._read(platform, message, agent)
        inputs = agent.fields.inputs(message, means.now(), read)
        await self._read_back(platform, waiting, job, agent)
        question = Question(
            waiting,
            agent,
            inputs,
            also,
            answers=answers,
            users=users,
            message=message,
            beside=beside,
            shown=shown,
            words=words,
            counted=counted,
        )
        return await self._admit_and_run(question, job, read)

    async def _admit_and_run(self, question: Question, job: Job, read: Read | None = None) -> tuple[str, ...] | None:
        means, waiting = self._means, question.waiting
        admitted = await means.gate.admit(question.message or question.event, counted=question.counted)
        if isinstance(admitted, Refused):
            admitted = admitted if question.expected else replace(admitted, line="")
            await self._letting_in.refuse(waiting, job, admitted, also=question.also, shown=question.shown)
            return None
        try:
            turn = await job.turn(self._request(question, read))
        except StoreError:
            await means.gate.settle(admitted, {})
            raise
        except SessionError as error:  # the answer to be replaced is not the newest any more
            await means.gate.settle(admitted, {})
            reply = json.dumps(Reply(f"{str(error)[:1].upper()}{str(error)[1:]}.", private=True).to_json())
            await (await job.changing(self._settled(waiting, reply, question.shown))).settle()
            await means.poster.post(waiting, job, reply, question.shown)
            return None
        turn.shown = question.shown
        run = Run(question, turn, Asking(job, waiting, means.poster, means.access))
        try:
            answered = await self._run(run, job)
            shown = question.shown if run.shown is None else run.shown.message_ids
            if answered:
                if shown != turn.noted:  # what was begun while the answer was written down
                    await job.posted(Posting(waiting.event.event_id, shown, done=False))
                    run.told[waiting.event.event_id] = shown
                await means.poster.post(waiting, job, turn.reply, shown)
                done = [other for other in question.beside or () if other.event.event_id in question.also]
                for other in (*done, *run.stopped_by):
                    await means.poster.nothing_to_say(other)
            return None if answered else shown
        except BaseException:  # whatever it is that ends this try
            if run.shown is not None:
                await run.shown.disown(run.known(job.work.arrival.event_id))
            raise
        finally:
            for each in () if run.shown is None else run.shown.message_ids:
                means.poster.growing.pop((waiting.scope, each), None)
            await means.gate.settle(admitted, turn.usage, answered=turn.committed is not None)

    def _request(self, question: Question, read: Read | None) -> TurnRequest:
        event = question.event if question.message is None else question.message
        left_out = () if read is None else read.left_out

        async def reply(outputs: Mapping[str, Any], turn: Turn | None) -> str:
            return json.dumps((await self._reply(question.agent, outputs, turn, left_out)).to_json())

        return TurnRequest(
            key=str(question.event.key),
            inputs=question.inputs,
            event_id=question.event.event_id,
            author=event.author.id,
            author_name=event.author.name,
            user=question.users[0] if question.users and question.users[0] else event.user,
            with_users=question.users[1:],
            received=True,
            reply=reply,
            instead_of=question.instead_of,
            also=question.also,
            answers=question.answers,
            words=question.words,
            session=question.agent.session,
            agent=question.agent.label,
            for_good=question.for_good,
        )

    async def _reply(
        self, agent: Agent, outputs: Mapping[str, Any], turn: Turn | None, left_out: Sequence[str]
    ) -> Reply:
        """The answer, as it waits to be posted."""
        means, turn_id = self._means, "" if turn is None else turn.id
        buttons: tuple[Button, ...] = ()
        if turn is not None and means.manners.buttons:
            buttons = (Button(RETRY, "Retry", turn_id), *means.ratings.buttons(turn_id))
        reply = await agent.forms.reply(outputs, turn_id, buttons)
        if left_out:
            reply = replace(reply, text="\n\n".join([reply.text, *(f"*{line}*" for line in left_out)]))
        return reply

    # --- the turn -------------------------------------------------------------------------------------------------

    async def _run(self, run: Run, job: Job) -> bool:
        """Run a turn to an end that is committed; False when it is to begin anew with what has come since."""
        turn, question = run.turn, run.question
        if job.work.attempts > ATTEMPTS:
            await self._fail(run, GIVEN_UP, None)
            return True
        try:
            async with self._running.showing(run, job) as shown:
                ended = await self._running.until_stopped(run, shown, job)
        except StaleJournalError:
            raise
        except StoreError:
            if turn.committed is None:
                raise
        except StepsUsedUpError as error:
            await self._fail(run, str(error), None, too_many_steps(self._means.limits))
        except Exception as error:
            if turn.committed is not None or turn.reply:
                logger.exception("The answer to %s stands, but did not end well", in_words(question.event))
                return True
            await self._fail(run, type(error).__name__, error)  # the person who asked must hear of it
        else:
            if ended is None or turn.reply:
                return True
            reason, event_ids = ended
            if reason == "interrupted" and not run.text and question.may_grow:
                return False
            await self._stop(run, job, reason, event_ids)
        return True

    async def _stop(self, run: Run, job: Job, reason: str, event_ids: tuple[str, ...]) -> None:
        """Record a turn as far as people saw it; nothing where the only message that it answers is gone, and nobody
        saw any of it.
        """
        question, is_seen = run.question, run.shown is not None and bool(run.shown.message_ids)
        if reason == DELETED:
            if question.is_alone and not is_seen:
                await (await job.changing(self._settled(question.waiting))).settle()
                return
            reason = "stopped"
        mark = too_slow(self._means.limits) if reason == "timeout" else reason
        words = "\n\n".join(part for part in (run.text, f"*({mark})*") if part)
        await run.turn.stop({question.agent.fields.reply or "reply": words}, reason, also=event_ids)

    async def _fail(self, run: Run, reason: str, error: Exception | None, said: str = "") -> None:
        """Failure is an answer too: one line for the person, the rest for the log."""
        reference, question = secrets.token_hex(4), run.question
        logger.error("No answer to %s (reference %s): %s", in_words(question.event), reference, reason, exc_info=error)
        text = said or f"Sorry, something went wrong on my side (reference {reference})."
        about = question.event if question.message is None else question.message
        failure: dict[str, Any] = {"reference": reference, "error": reason, "event": about.event_id}
        if question.also:
            failure["events"] = list(question.also)
        if question.message is not None:
            failure["message"] = question.message.to_json()
            failure["users"] = list(question.users)
            failure["words"] = dict(question.words)
        buttons = (Button(RETRY, "Retry", question.event.event_id),) if self._means.manners.buttons else ()
        await run.turn.fail(failure, json.dumps(Reply(text, buttons=buttons).to_json()))

    # --- before it ------------------------------------------------------------------------------------------------

    async def _read(self, platform: Platform, message: Inbound, agent: Agent) -> Read | None:
        if not message.attachments or not isinstance(platform, CanFetch):
            return None
        return await read_attachments(
            message.attachments,
            platform,
            self._means.files,
            images=agent.fields.takes_images,
            readers=self._readers,
        )

    async def _read_back(self, platform: Platform, waiting: Waiting, job: Job, agent: Agent) -> None:
        """Let a conversation that is new begin with what was said in its place before."""
        most, event = self._means.manners.read_back, waiting.event
        if not most or job.hold.known.length or not isinstance(platform, CanReadBack):
            return
        said = await platform.said_before(event, most)
        seed = seed_of(said, agent.fields)
        if seed is not None:
            job.hold.known.state.initial_history = seed

    def _settled(self, waiting: Waiting, reply: str = "", shown: tuple[str, ...] = ()) -> Settled:
        return Settled(waiting.event.event_id, reply, received=True, shown=shown)


async def _with_names(platform: Platform, waiting: Waiting) -> Waiting:
    """What waits, if a message was changed by it: its words take the place of the message's, and bring their names."""
    event = waiting.event
    if not (isinstance(event, Action) and isinstance(event.deed, Edit)):
        return waiting
    return replace(waiting, event=await named(platform, event))
