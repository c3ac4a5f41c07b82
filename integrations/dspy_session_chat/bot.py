"""The bot: an agent, the places where people talk to it, and the conversations in between."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Self

import dspy
from dspy.streaming import StatusMessage, StreamResponse

from dspy_session import ConfigurationError, Session, SessionError, Turn
from dspy_session.conversation import Conversations, DurableSink, Sink, TakenTurn, TurnRequest
from dspy_session.conversation.holds import LEASE_SECONDS
from dspy_session.conversation.runtime import Job, Runtime, TryLaterError
from dspy_session.errors import PlatformUnavailableError, StaleJournalError, StoreError
from dspy_session.stores import Arrival, Posting, SealingKey, Store
from dspy_session_chat.action import Event
from dspy_session_chat.duration import seconds_of
from dspy_session_chat.fields import AgentFields
from dspy_session_chat.inbound import Inbound
from dspy_session_chat.platform import (
    CanStream,
    CanType,
    NeedsConversations,
    Platform,
    Post,
    Receive,
    ReplyStream,
    by_name,
)
from dspy_session_chat.reply import Reply

logger = logging.getLogger(__name__)

ATTEMPTS = 3
"""How often a message is begun to be answered: one that ends each process that tries must not end all of them."""
POST_TRIES = 12
"""How often an answer is posted at least while the platform cannot be reached."""
POST_SECONDS = 600.0
"""Seconds from the message on in which that is not given up: several processes are soon through with their tries."""
SURE_SECONDS = 1.0
"""How long a conversation that was ours needs not be asked for again while an answer is shown."""
NO_ANSWER = "(The agent had nothing to say.)"


class Bot:
    """An agent that answers people.

        bot = Bot(agent, platforms=[Slack(), Discord()], store="sqlite:///bot.db")
        bot.run()

    Inside a program that has its own event loop, use ``async with bot:`` instead of ``run``.

    Args:
        agent: A DSPy module or a session. It is wrapped in a session if it is none.
        platforms: Where people talk to it.
        store: Where conversations are kept: a URL (``sqlite:///bot.db``, ``postgresql://…``, ``memory://``) or a store.
        keys: Keys to encrypt what people say with, as ``Conversations`` takes them.
        sinks: Told of each turn, for example a ``Webhook``.
        input_field: The agent's input that takes the message; only needed when it has several texts.
        output_field: The agent's output that is the reply; likewise.
        lm: The language model; what ``dspy.configure`` set if None.
        keep: How long what was said is kept: ``"90d"``, ``"12h"``; for ever if None.
        agent_version: Which version of the agent this is, for those who read the turns later.
        lease_seconds: How long a process that dies keeps others from its conversations, where several share a store.
        grace: Seconds that answers under way are given when the bot stops; the others are answered after the restart.
        now: The time, for tests.

    Raises:
        ConfigurationError: The agent's fields are not clear, there is no platform, or an option does not fit.
    """

    def __init__(
        self,
        agent: dspy.Module,
        *,
        platforms: Sequence[Platform],
        store: str | Store = "sqlite:///bot.db",
        keys: str | SealingKey | Sequence[str | SealingKey] | None = None,
        sinks: Sequence[Sink | DurableSink] = (),
        input_field: str | None = None,
        output_field: str | None = None,
        lm: dspy.BaseLM | None = None,
        keep: str | None = None,
        agent_version: str = "",
        lease_seconds: float = LEASE_SECONDS,
        grace: float = 10.0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if not isinstance(agent, dspy.Module):
            raise ConfigurationError(f"the agent must be a dspy.Module; got {type(agent).__name__}")
        if not platforms:
            raise ConfigurationError("the bot has no platform to live on: give platforms=[Slack(...)], for example")
        session = agent if isinstance(agent, Session) else Session(agent)
        self.fields = AgentFields.of(session, input_field, output_field)
        self.conversations = Conversations(
            session, store, keys=keys, sinks=sinks, agent_version=agent_version, lease_seconds=lease_seconds
        )
        self._platforms = by_name(platforms)
        self._runtime = Runtime(
            self.conversations, self._do, handles=lambda key: key.split(":", 1)[0] in self._platforms
        )
        self._lm = lm
        self._keep = None if keep is None else seconds_of(keep)
        self._expiring: asyncio.Task[None] | None = None
        self._grace = grace
        self._lease_seconds = lease_seconds
        self._now = now
        self._listening: dict[asyncio.Task[None], Platform] = {}
        self._closing = False

    # --- life -----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Run until Ctrl-C or SIGTERM, then finish what is under way.

        Raises:
            SessionError: A platform or the store refuses us.
        """
        asyncio.run(self._run())

    async def _run(self) -> None:
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError):  # Windows has no signal handlers on its event loops
                loop.add_signal_handler(name, stopped.set)
        async with self:
            stopping, serving = asyncio.create_task(stopped.wait()), asyncio.create_task(self.serve())
            try:
                await asyncio.wait([stopping, serving], return_when=asyncio.FIRST_COMPLETED)
                if serving.done():
                    await serving
            finally:
                for task in (stopping, serving):
                    task.cancel()
                await asyncio.gather(stopping, serving, return_exceptions=True)

    async def __aenter__(self) -> Self:
        self._closing = False
        await self.conversations.open()
        self._runtime.start()
        for name, platform in self._platforms.items():
            if isinstance(platform, NeedsConversations):
                platform.use_conversations(self.conversations)
            listening = asyncio.create_task(platform.run(self._receiver(name)), name=f"listen-{name}")
            self._listening[listening] = platform
        if self._keep is not None:
            self._expiring = asyncio.create_task(self._expire(self._keep), name="retention")
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._closing = True
        if self._expiring is not None:
            self._expiring.cancel()
            await asyncio.gather(self._expiring, return_exceptions=True)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._grace
        await self._runtime.drain(self._grace)
        for sink in self.conversations.telling.listeners:  # before the platforms: a sink may deliver to one of them
            try:
                await sink.aclose(max(0.0, deadline - loop.time()))
            except Exception:  # one that cannot be closed must not keep the others open
                logger.warning("The sink %s failed to close", type(sink).__name__, exc_info=True)
        await self.conversations.telling.aclose(max(0.0, deadline - loop.time()))
        for task in self._listening:
            task.cancel()
        ended = await asyncio.gather(*self._listening, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception) and exc_info[1] is None:
                logger.error("A platform failed: %s", error)
        self._listening.clear()
        await self.conversations.aclose()

    async def serve(self) -> None:
        """Wait for as long as the platforms run.

        Raises:
            SessionError: A platform refuses us.
        """
        if not self._listening:
            raise SessionError("the bot is not running: use `async with bot:` around `await bot.serve()`")
        done, _ = await asyncio.wait(self._listening, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            await task

    # --- messages -------------------------------------------------------------------------------------------------

    def _receiver(self, name: str) -> Receive:
        async def receive(inbound: Event) -> None:
            if not isinstance(inbound, Inbound) or inbound.addressed == "ambient" or inbound.author.is_bot:
                return
            if self._closing:
                raise SessionError("the bot is stopping and takes no more messages")
            arrival = Arrival(
                key=str(inbound.key),
                event_id=inbound.event_id,
                payload=json.dumps({"platform": name, "message": inbound.to_json()}),
                sent_at=inbound.sent_at.timestamp(),
                received_at=self.conversations.clock(),
                author=inbound.user,
            )
            await self._runtime.receive(arrival)

        return receive

    async def _do(self, job: Job) -> None:
        """Answer a message, or post the answer that was committed before this process began."""
        payload = json.loads(job.work.arrival.payload)
        inbound, platform = Inbound.from_json(payload["message"]), self._platforms.get(payload["platform"])
        if platform is None:
            raise TryLaterError(f"the bot has no platform {payload['platform']!r} any more")
        if job.work.reply:
            await self._post(platform, inbound, job, job.work.reply)
            return
        turn = await job.turn(
            TurnRequest(
                key=job.hold.key,
                inputs=self.fields.inputs(inbound, self._now()),
                event_id=inbound.event_id,
                author=inbound.author.id,
                author_name=inbound.author.name,
                user=inbound.user,
                received=True,
                reply=self._as_reply,
            )
        )
        if job.work.attempts > ATTEMPTS:
            reason = f"it was begun {ATTEMPTS} times, and no process came to its end"
            await self._fail(turn, inbound, reason, None)
        else:
            try:
                async with self._showing(platform, inbound) as shown:
                    await self._answer(turn, shown, job)
            except StaleJournalError:
                raise
            except StoreError:
                if turn.committed is None:
                    raise
            except Exception as error:  # noqa: BLE001  # whatever failed, the person who asked must hear of it
                await self._fail(turn, inbound, f"{type(error).__name__}", error)
        await self._post(platform, inbound, job, turn.reply)

    def _as_reply(self, outputs: Mapping[str, Any], turn: Turn | None) -> str:
        """The answer, as it waits to be posted."""
        text = self.fields.text(outputs) or NO_ANSWER
        return json.dumps(Reply(text, "" if turn is None else turn.id).to_json())

    async def _fail(self, turn: TakenTurn, inbound: Inbound, reason: str, error: Exception | None) -> None:
        """Failure is an answer too: one line for the person, the rest for the log."""
        reference = secrets.token_hex(4)
        logger.error(
            "No answer to %s in %s (reference %s): %s",
            *(inbound.event_id, inbound.key, reference, reason),
            exc_info=error,
        )
        text = f"Sorry, something went wrong on my side (reference {reference})."
        failure = {"reference": reference, "error": reason, "event": inbound.event_id}
        await turn.fail(failure, json.dumps(Reply(text).to_json()))

    async def _post(self, platform: Platform, inbound: Inbound, job: Job, reply: str) -> None:
        """Post an answer that is committed, if the conversation is still ours."""
        await _see_that_it_is_ours(job)
        post = Post(inbound, Reply.from_json(json.loads(reply)))
        ids: Sequence[str] = ()
        try:
            ids = (await platform.post(post)).message_ids
        except PlatformUnavailableError as error:
            age = self.conversations.clock() - job.work.arrival.received_at
            if job.work.attempts < POST_TRIES or age < POST_SECONDS:
                raise TryLaterError(str(error)) from error
            logger.exception("The answer to %s in %s was given up", inbound.event_id, inbound.key)
        except Exception:  # the platform refuses it for good
            logger.exception("The answer to %s in %s was not posted", inbound.event_id, inbound.key)
        await job.posted(Posting(inbound.event_id, tuple(ids)))

    async def _answer(self, turn: TakenTurn, shown: ReplyStream | None, job: Job) -> None:
        # A server keeps no trace and no prompt history of what its users say.
        settings: dict[str, Any] = {"disable_history": True, "trace": []}
        if self._lm is not None:
            settings["lm"] = self._lm
        if shown is None:
            with dspy.context(**settings):
                await turn.run()
            return
        loop = asyncio.get_running_loop()
        pieces, sure_until = turn.stream(self.fields.reply), loop.time() + min(SURE_SECONDS, self._lease_seconds / 4)
        async with contextlib.aclosing(pieces):
            with dspy.context(**settings):
                item = await anext(pieces)
            while True:
                if turn.committed is None and loop.time() >= sure_until:
                    await _see_that_it_is_ours(job)
                    sure_until = loop.time() + min(SURE_SECONDS, self._lease_seconds / 4)
                if isinstance(item, StreamResponse):
                    await shown.append(item.chunk)
                elif isinstance(item, StatusMessage):
                    await shown.status(item.message)
                try:
                    item = await anext(pieces)
                except StopAsyncIteration:
                    return

    async def _expire(self, keep: float) -> None:
        """Forget what is older than ``keep`` seconds, now and every hour."""
        while True:
            try:
                await self.conversations.forget_before(self.conversations.clock() - keep)
            except StoreError as error:
                logger.warning("What is too old could not be forgotten, next try in an hour: %s", error)
            await asyncio.sleep(3600.0)

    @contextlib.asynccontextmanager
    async def _showing(self, platform: Platform, inbound: Inbound) -> AsyncIterator[ReplyStream | None]:
        """Show that an answer is on its way, as well as the platform can."""
        if isinstance(platform, CanStream):
            async with platform.stream(inbound) as shown:
                yield shown
        elif isinstance(platform, CanType):
            async with platform.typing(inbound):
                yield None
        else:
            yield None


async def _see_that_it_is_ours(job: Job) -> None:
    if not await job.is_ours():
        raise StaleJournalError(f"{job.hold.key} was taken over: another process posts the answer")
