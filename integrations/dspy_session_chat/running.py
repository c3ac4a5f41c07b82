"""A turn that runs: shown while it is made, until it ends, is stopped, or takes too long."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from typing import Any

import dspy
from dspy.streaming import StatusMessage, StreamResponse

from dspy_session.conversation.runtime import Job
from dspy_session.redaction import redact
from dspy_session.status import STATUS_PROVIDER
from dspy_session.stores import Posting
from dspy_session_chat.asking import ASKING
from dspy_session_chat.beside import STOP
from dspy_session_chat.growing import CanEdit, CanStream, CanType, Growing, ReplyStream
from dspy_session_chat.looking import LOOK_SECONDS, Looking
from dspy_session_chat.markup.piecewise import Piecewise
from dspy_session_chat.means import Means
from dspy_session_chat.posting import see_that_it_is_ours
from dspy_session_chat.question import Question, Run
from dspy_session_chat.reply import Button
from dspy_session_chat.rules.limits import shortened
from dspy_session_chat.rules.steps import StepCounter
from dspy_session_chat.shown import EditedStream
from dspy_session_chat.tool_words import ToolWords

SURE_SECONDS = 1.0
"""How long a conversation that was ours needs not be asked for again while an answer is shown."""


class Running:
    """Runs turns.

    Args:
        means: What the bot works with.
    """

    def __init__(self, means: Means) -> None:
        self._means = means
        self._looking = Looking(means)

    # --- to its end -----------------------------------------------------------------------------------------------

    async def until_stopped(self, run: Run, shown: ReplyStream | None, job: Job) -> tuple[str, tuple[str, ...]] | None:
        """Run a turn; None when it came to its end, else why it did not and which events wanted that."""
        running = asyncio.create_task(self._produce(run, shown, job), name=f"turn {run.question.event.event_id}")
        looking = asyncio.create_task(self._looking.look(run, job), name=f"beside {run.question.event.event_id}")
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
        pieces, sure_until = turn.stream(run.question.agent.fields.reply), loop.time() + sure_for
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

    # --- shown meanwhile ------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def showing(self, run: Run, job: Job) -> AsyncIterator[ReplyStream | None]:
        """Show that an answer is on its way, as well as the platform can."""
        event, platform = run.question.event, self._means.poster.platform(run.question.waiting)
        async with contextlib.AsyncExitStack() as stack:
            if isinstance(platform, CanType):
                await stack.enter_async_context(platform.typing(event))
            if not isinstance(platform, CanStream | CanEdit):
                yield None
                return

            scope = run.question.waiting.scope

            async def on_shown(ids: tuple[str, ...]) -> None:
                self._means.poster.growing[scope, ids[-1]] = job.hold.key
                run.turn.shown = ids
                # Of several messages the first is taken up again after a crash, until the last has the answer: had that
                # one the ids before, it would be answered in them too where the first was answered alone after all.
                about = event.event_id if run.turn.reply else job.work.arrival.event_id
                await job.posted(Posting(about, ids, done=False))
                run.told[about] = ids

            stop = (Button(STOP, "Stop", event.event_id, "danger"),) if self._means.manners.buttons else ()
            polished = Piecewise(self._means.polish)

            def polish(text: str) -> str:
                return polished(shortened(self._means.limits, text))

            growing = Growing(event, stop, polish, run.question.shown, on_shown, job.is_ours)
            if isinstance(platform, CanStream):
                opened = platform.stream(growing)
            else:
                opened = EditedStream.of(platform, growing).open()
            run.shown = await stack.enter_async_context(opened)
            yield run.shown


async def _let_end(task: asyncio.Task[Any]) -> None:
    """Wait for a task that was cancelled, however it ends."""
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()
