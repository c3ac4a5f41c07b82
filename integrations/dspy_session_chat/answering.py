"""From a message to its answer: shown while it is made, stopped when somebody wants that, and never lost."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import dspy
from dspy.streaming import StatusMessage, StreamResponse

from dspy_session import SessionError, Turn
from dspy_session.conversation import Conversations, TakenTurn, TurnRequest
from dspy_session.conversation.runtime import Job
from dspy_session.errors import StaleJournalError, StoreError
from dspy_session.redaction import redact
from dspy_session.status import STATUS_PROVIDER
from dspy_session.stores import Posting, Settled
from dspy_session_chat.access import Access
from dspy_session_chat.action import Action, Event, Press
from dspy_session_chat.asking import ASKING, Asking
from dspy_session_chat.attachments import FileLimits, Read, read_attachments
from dspy_session_chat.before import seed_of
from dspy_session_chat.beside import STOP, TOO_BUSY, TOO_MANY, as_one, together, verdicts
from dspy_session_chat.commands import Commands
from dspy_session_chat.fields import AgentFields
from dspy_session_chat.forms import Forms
from dspy_session_chat.gate import Gate, Refused
from dspy_session_chat.inbound import Inbound
from dspy_session_chat.limits import Limits, too_many_steps, too_slow
from dspy_session_chat.manners import Manners
from dspy_session_chat.platform import CanEdit, CanFetch, CanReadBack, CanStream, CanType, Platform, ReplyStream
from dspy_session_chat.posting import Poster, in_words, see_that_it_is_ours
from dspy_session_chat.ratings import Ratings
from dspy_session_chat.reply import Button, Reply
from dspy_session_chat.shown import EditedStream
from dspy_session_chat.steps import StepCounter, StepsUsedUpError
from dspy_session_chat.tool_words import ToolWords
from dspy_session_chat.waiting import Waiting

logger = logging.getLogger(__name__)

ATTEMPTS = 3
"""How often a message is begun to be answered: one that ends each process that tries must not end all of them."""
SURE_SECONDS = 1.0
"""How long a conversation that was ours needs not be asked for again while an answer is shown."""
LOOK_SECONDS = 1.0
"""How often it is looked whether another process has received something in the conversation."""
CROWD = 100
"""Events that may wait beside an answer before each news of them is no longer looked at at once."""
RETRY = "retry"
"""The command and the button that ask for another answer."""

_MARKS = {"stopped": "stopped", "interrupted": "interrupted"}


@dataclass(frozen=True, slots=True)
class Means:
    """What a bot works with.

    Args:
        conversations: Its conversations.
        poster: Posts what is committed.
        fields: Which of the agent's fields are what.
        forms: Puts answers together.
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
    fields: AgentFields
    forms: Forms
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


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be answered.

    Args:
        waiting: What the answer is posted to.
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
    """

    waiting: Waiting
    inputs: Mapping[str, Any]
    also: tuple[str, ...] = ()
    instead_of: str = ""
    answers: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    fresh: bool = False
    message: Inbound | None = None
    beside: Sequence[Waiting] | None = None
    shown: tuple[str, ...] = ()

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
    shown: EditedStream | None = None
    read: dict[str, Waiting] = field(default_factory=dict)
    """What waits beside it, by event: read once, however often it is looked at."""

    @property
    def text(self) -> str:
        """What people have seen of the answer."""
        return "".join(self.heard).strip()


class Answering:
    """Answers messages.

    Args:
        means: What the bot works with.
    """

    def __init__(self, means: Means) -> None:
        self._means = means

    # --- what is asked --------------------------------------------------------------------------------------------

    async def answer(self, waiting: Waiting, job: Job) -> None:
        """Answer a message, with those that belong to it."""
        shown: tuple[str, ...] | None = job.work.shown
        while shown is not None:
            means = self._means
            beside = await self._pending(job, waiting)
            if means.access.denial(waiting.event) is not None:  # nobody else's message lets it in
                beside = [each for each in beside if each.event.event_id == waiting.event.event_id]
            found = together(waiting, beside, means.manners, means.commands)
            if not found.messages:  # whoever wrote it has deleted it meanwhile
                also = [each for each in found.also if each != waiting.event.event_id]
                await (await job.changing(self._settled(waiting), also=also)).settle()
                return
            message = as_one(found.messages, means.manners)
            users = tuple(dict.fromkeys(each.user for each in reversed(found.messages)))
            to = replace(waiting, event=found.messages[-1])
            shown = await self._ask(to, job, message, users, also=found.also, beside=beside, shown=shown)

    async def ask_again(self, waiting: Waiting, job: Job, message: Inbound, users: tuple[str, ...] = ()) -> None:
        """Answer a message that had no answer, where ``waiting`` asks for one; ``users`` as in a ``Question``."""
        await self._ask(waiting, job, as_one([message], self._means.manners), users, shown=job.work.shown)

    async def retry(self, waiting: Waiting, job: Job, turn: Turn, inputs: Mapping[str, Any] | None = None) -> None:
        """Answer anew what the newest turn answered.

        Args:
            waiting: What asks for it, and where the new answer goes.
            job: The conversation.
            turn: The newest turn.
            inputs: What the agent is asked now; the same as in the turn if None.
        """
        changing = await job.changing()
        question = Question(
            waiting,
            turn.inputs if inputs is None else inputs,
            instead_of=turn.id,
            answers=await changing.messages_of(turn.id),
            users=await changing.users_of(turn.id),
            fresh=inputs is None,
            shown=job.work.shown,
        )
        await self._admit_and_run(question, job)

    async def _ask(
        self,
        waiting: Waiting,
        job: Job,
        message: Inbound,
        users: tuple[str, ...],
        *,
        also: tuple[str, ...] = (),
        beside: Sequence[Waiting] | None = None,
        shown: tuple[str, ...] = (),
    ) -> tuple[str, ...] | None:
        """Answer a message.

        Returns:
            None once it is answered; when it is to be answered together with what has come since, the ids of the
            messages in which that was to be shown.
        """
        means = self._means
        platform = means.poster.platform(waiting)
        read = await self._read(platform, message)
        inputs = means.fields.inputs(message, means.now(), read)
        await self._read_back(platform, waiting, job)
        question = Question(waiting, inputs, also, users=users, message=message, beside=beside, shown=shown)
        return await self._admit_and_run(question, job, read)

    async def _admit_and_run(self, question: Question, job: Job, read: Read | None = None) -> tuple[str, ...] | None:
        means, waiting = self._means, question.waiting
        admitted = await means.gate.admit(question.message or question.event)
        if isinstance(admitted, Refused):
            reply = json.dumps(Reply(admitted.line, private=True).to_json()) if admitted.line else ""
            await (await job.changing(self._settled(waiting, reply), also=question.also)).settle()
            await means.poster.post(waiting, job, reply, question.shown)
            return None
        try:
            turn = await job.turn(self._request(question, read))
        except StoreError:
            await means.gate.settle(admitted, {})
            raise
        except SessionError as error:  # the answer to be replaced is not the newest any more
            await means.gate.settle(admitted, {})
            reply = json.dumps(Reply(f"{str(error)[:1].upper()}{str(error)[1:]}.", private=True).to_json())
            await (await job.changing(self._settled(waiting, reply))).settle()
            await means.poster.post(waiting, job, reply, question.shown)
            return None
        run = Run(question, turn, Asking(job, waiting, means.poster, means.access))
        try:
            answered = await self._run(run, job)
            shown = question.shown if run.shown is None else run.shown.message_ids
            if answered:
                await means.poster.post(waiting, job, turn.reply, shown)
            return None if answered else shown
        finally:
            for each in () if run.shown is None else run.shown.message_ids:
                means.poster.growing.pop((waiting.scope, each), None)
            await means.gate.settle(admitted, turn.usage, answered=turn.committed is not None)

    def _request(self, question: Question, read: Read | None) -> TurnRequest:
        event = question.event if question.message is None else question.message
        left_out = () if read is None else read.left_out

        def reply(outputs: Mapping[str, Any], turn: Turn | None) -> str:
            return json.dumps(self._reply(outputs, turn, left_out).to_json())

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
        )

    def _reply(self, outputs: Mapping[str, Any], turn: Turn | None, left_out: Sequence[str]) -> Reply:
        """The answer, as it waits to be posted."""
        means, turn_id = self._means, "" if turn is None else turn.id
        buttons: tuple[Button, ...] = ()
        if turn is not None and means.manners.buttons:
            buttons = (Button(RETRY, "Retry", turn_id), *means.ratings.buttons(turn_id))
        reply = means.forms.reply(outputs, turn_id, buttons)
        if left_out:
            reply = replace(reply, text="\n\n".join([reply.text, *(f"*{line}*" for line in left_out)]))
        return reply

    # --- the turn -------------------------------------------------------------------------------------------------

    async def _run(self, run: Run, job: Job) -> bool:
        """Run a turn to an end that is committed; False when it is to begin anew with what has come since."""
        turn, question = run.turn, run.question
        if job.work.attempts > ATTEMPTS:
            await self._fail(run, f"it was begun {ATTEMPTS} times, and no process came to its end", None)
            return True
        try:
            async with self._showing(run, job) as shown:
                ended = await self._run_until_stopped(run, shown, job)
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
            mark = _MARKS.get(reason) or too_slow(self._means.limits)
            words = "\n\n".join(part for part in (run.text, f"*({mark})*") if part)
            await turn.stop({self._means.fields.reply or "reply": words}, reason, also=event_ids)
        return True

    async def _run_until_stopped(
        self, run: Run, shown: ReplyStream | None, job: Job
    ) -> tuple[str, tuple[str, ...]] | None:
        """Run a turn; None when it came to its end, else why it did not and which events wanted that."""
        running = asyncio.create_task(self._produce(run, shown, job), name=f"turn {run.question.event.event_id}")
        looking = asyncio.create_task(self._look(run, job), name=f"beside {run.question.event.event_id}")
        try:
            ended = await self._first(run, running, looking)
        finally:
            run.asking.close()
            looking.cancel()
            await _let_end(looking)
            if not running.done():
                running.cancel()
                await _let_end(running)
        if running.cancelled():
            return ended
        await running  # raises what went wrong
        return None

    async def _first(
        self, run: Run, running: asyncio.Task[None], looking: asyncio.Task[None]
    ) -> tuple[str, tuple[str, ...]]:
        """Wait until a turn ends, is to be stopped, or takes too long.

        Raises:
            StaleJournalError: Another process has the conversation now.
        """
        seconds, loop = self._means.limits.seconds, asyncio.get_running_loop()
        began = loop.time()
        while True:
            left = None if seconds is None else began + run.asking.waited + seconds - loop.time()
            if left is not None and run.asking.is_waiting:  # people are asked: that is not the agent's time
                left = LOOK_SECONDS
            ends: set[asyncio.Future[Any]] = {running, run.stopping, looking}
            done, _ = await asyncio.wait(
                ends,
                timeout=None if left is None else max(0.0, left),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if run.stopping.done():
                return run.stopping.result()
            if looking in done and not running.done():
                looking.result()  # says who has the conversation
            if done or (left is not None and left <= 0.0 and not run.asking.is_waiting):
                return "timeout", ()

    async def _produce(self, run: Run, shown: ReplyStream | None, job: Job) -> None:
        # A server keeps no trace and no prompt history of what its users say.
        settings: dict[str, Any] = {
            "disable_history": True,
            "trace": [],
            ASKING: run.asking,
            STATUS_PROVIDER: ToolWords(self._means.manners.statuses),
        }
        if (lm := self._lm(run.question)) is not None:
            settings["lm"] = lm
        counting: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
        if self._means.limits.tool_steps is not None:
            counter = StepCounter(self._means.limits.tool_steps)
            settings["callbacks"] = [*dspy.settings.callbacks, counter]
            counting = counter.telling()
        with counting:
            if shown is None:
                with dspy.context(**settings):
                    await run.turn.run()
            else:
                await self._stream(run, shown, job, settings)

    async def _stream(self, run: Run, shown: ReplyStream, job: Job, settings: dict[str, Any]) -> None:
        loop, turn = asyncio.get_running_loop(), run.turn
        sure_for = min(SURE_SECONDS, self._means.lease_seconds / 4)
        pieces, sure_until = turn.stream(self._means.fields.reply), loop.time() + sure_for
        async with contextlib.aclosing(pieces):
            with dspy.context(**settings):
                item = await anext(pieces)
            while True:
                if turn.committed is None and loop.time() >= sure_until:
                    await see_that_it_is_ours(job)
                    sure_until = loop.time() + sure_for
                if isinstance(item, StreamResponse):
                    run.heard.append(item.chunk)
                    await shown.append(item.chunk)
                elif isinstance(item, StatusMessage):
                    await shown.status(redact(item.message))
                try:
                    item = await anext(pieces)
                except StopAsyncIteration:
                    return

    def _lm(self, question: Question) -> dspy.BaseLM | None:
        """The model to ask; one that does not answer from a cache, where another answer is wanted."""
        lm = self._means.lm
        if not question.fresh:
            return lm
        lm = lm or dspy.settings.lm
        if not isinstance(lm, dspy.BaseLM):
            return None
        # A rollout of its own is asked for by a number, and only above a temperature of 0.
        warmth = {} if lm.kwargs.get("temperature") != 0 else {"temperature": 1.0}
        fresh: dspy.BaseLM = lm.copy(rollout_id=secrets.randbits(31), **warmth)
        return fresh

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
        buttons = (Button(RETRY, "Retry", question.event.event_id),) if self._means.manners.buttons else ()
        await run.turn.fail(failure, json.dumps(Reply(text, buttons=buttons).to_json()))

    # --- beside it ------------------------------------------------------------------------------------------------

    async def _look(self, run: Run, job: Job) -> None:
        """Handle what comes in the conversation while the turn runs, as far as it cannot wait.

        Raises:
            StaleJournalError: Another process has the conversation now.
        """
        question = run.question
        seen = {question.event.event_id, *question.also}
        found, came_before = question.beside, job.follows
        while not run.stopping.done():
            try:
                if (
                    run.asking.is_waiting
                ):  # people take long, and a process that has lost the conversation hears nothing
                    await see_that_it_is_ours(job)
                if found is None:
                    found = await self._pending(job, question.waiting, run.read)
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
            if verdict == "later" or (verdict == "stop" and not self._may_stop(run, each)):
                continue
            if verdict == "interrupt" and each.platform != run.question.waiting.platform:
                continue  # it cannot be answered together with this one
            seen.add(each.event.event_id)
            if verdict in ("stop", "interrupt"):
                if verdict == "stop" and came_before:
                    continue
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

    async def _pending(self, job: Job, known: Waiting, read: dict[str, Waiting] | None = None) -> list[Waiting]:
        """What waits in a conversation; news of what comes from now on is news again.

        Messages of those who may not talk to the bot are left out: they stop nobody's answer and are part of none.

        Args:
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
            if is_known or not is_message or self._means.access.denial(each.event) is None:
                found.append(each)
        return found

    # --- before it ------------------------------------------------------------------------------------------------

    async def _read(self, platform: Platform, message: Inbound) -> Read | None:
        if not message.attachments or not isinstance(platform, CanFetch):
            return None
        means = self._means
        return await read_attachments(message.attachments, platform, means.files, images=means.fields.takes_images)

    async def _read_back(self, platform: Platform, waiting: Waiting, job: Job) -> None:
        """Let a conversation that is new begin with what was said in its place before."""
        most, event = self._means.manners.read_back, waiting.event
        if not most or job.hold.known.length or not isinstance(platform, CanReadBack):
            return
        said = await platform.said_before(event, most)
        seed = seed_of(said, self._means.fields)
        if seed is not None:
            job.hold.known.state.initial_history = seed

    # --- while it is made -----------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _showing(self, run: Run, job: Job) -> AsyncIterator[ReplyStream | None]:
        """Show that an answer is on its way, as well as the platform can."""
        event, platform = run.question.event, self._means.poster.platform(run.question.waiting)
        async with contextlib.AsyncExitStack() as stack:
            if isinstance(platform, CanStream):
                yield await stack.enter_async_context(platform.stream(event))
                return
            if isinstance(platform, CanType):
                await stack.enter_async_context(platform.typing(event))
            if not isinstance(platform, CanEdit):
                yield None
                return

            scope = run.question.waiting.scope

            async def on_shown(ids: tuple[str, ...]) -> None:
                self._means.poster.growing[scope, ids[-1]] = job.hold.key
                # Of several messages the first is taken up again after a crash, and the last has the answer.
                for event_id in dict.fromkeys((job.work.arrival.event_id, event.event_id)):
                    await job.posted(Posting(event_id, ids, done=False))

            stop = (Button(STOP, "Stop", event.event_id, "danger"),) if self._means.manners.buttons else ()
            polish = self._means.forms.polish
            run.shown = EditedStream(
                platform,
                event,
                buttons=stop,
                polish=polish,
                shown=run.question.shown,
                on_shown=on_shown,
                may_show=job.is_ours,
            )
            yield await stack.enter_async_context(run.shown.open())

    def _settled(self, waiting: Waiting, reply: str = "") -> Settled:
        return Settled(waiting.event.event_id, reply, received=True)


async def _let_end(task: asyncio.Task[Any]) -> None:
    """Wait for a task that was cancelled, however it ends."""
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()
