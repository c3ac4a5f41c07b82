"""The bot: an agent, the places where people talk to it, and the conversations in between."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import signal
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Self

import dspy
from dspy.streaming import StatusMessage, StreamResponse

from dspy_session import ConfigurationError, Session, SessionError
from dspy_session.conversation import Conversations, Sink, TakenTurn, TurnRequest
from dspy_session.stores import Store
from dspy_session_chat.fields import AgentFields
from dspy_session_chat.inbound import Inbound
from dspy_session_chat.platform import CanStream, CanType, NeedsConversations, Platform, Post, ReplyStream

logger = logging.getLogger(__name__)

REMEMBERED_EVENTS = 10_000
"""How many events are known as taken, besides those in the store: a platform repeats an event within minutes."""
NO_ANSWER = "(The agent had nothing to say.)"


class Bot:
    """An agent that answers people.

        bot = Bot(agent, platforms=[Slack(), Discord()], store="sqlite:///bot.db")
        bot.run()

    Inside a program that has its own event loop, use ``async with bot:`` instead of ``run``.

    Args:
        agent: A DSPy module or a session. It is wrapped in a session if it is none.
        platforms: Where people talk to it.
        store: Where conversations are kept: a URL (``sqlite:///bot.db``, ``memory://``) or a store.
        sinks: Told of each turn, for example a ``Webhook``.
        input_field: The agent's input that takes the message; only needed when it has several texts.
        output_field: The agent's output that is the reply; likewise.
        lm: The language model; what ``dspy.configure`` set if None.
        grace: Seconds that answers under way are given when the bot stops.
        now: The time, for tests.

    Raises:
        ConfigurationError: The agent's fields are not clear, there is no platform, or the store's URL is wrong.
    """

    def __init__(
        self,
        agent: dspy.Module,
        *,
        platforms: Sequence[Platform],
        store: str | Store = "sqlite:///bot.db",
        sinks: Sequence[Sink] = (),
        input_field: str | None = None,
        output_field: str | None = None,
        lm: dspy.BaseLM | None = None,
        grace: float = 10.0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if not isinstance(agent, dspy.Module):
            raise ConfigurationError(f"the agent must be a dspy.Module; got {type(agent).__name__}")
        if not platforms:
            raise ConfigurationError("the bot has no platform to live on: give platforms=[Slack(...)], for example")
        session = agent if isinstance(agent, Session) else Session(agent)
        self.fields = AgentFields.of(session, input_field, output_field)
        self.conversations = Conversations(session, store, sinks=sinks)
        self._platforms = tuple(platforms)
        self._sinks = tuple(sinks)
        self._lm = lm
        self._grace = grace
        self._now = now
        self._listening: dict[asyncio.Task[None], Platform] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self._taken: OrderedDict[tuple[str, str], None] = OrderedDict()
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
        for platform in self._platforms:
            if isinstance(platform, NeedsConversations):
                platform.use_conversations(self.conversations)
            listening = asyncio.create_task(platform.run(self._receiver(platform)), name=f"listen-{platform.name}")
            self._listening[listening] = platform
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._closing = True
        if self._answering:
            _, unfinished = await asyncio.wait(self._answering, timeout=self._grace)
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)
        for sink in self._sinks:  # before the platforms: a sink may deliver to one of them
            await sink.aclose(self._grace)
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

    def _receiver(self, platform: Platform) -> Callable[[Inbound], Any]:
        async def receive(inbound: Inbound) -> None:
            self._take(platform, inbound)

        return receive

    def _take(self, platform: Platform, inbound: Inbound) -> None:
        """Take a message over: from here on it is ours to answer."""
        if self._closing:
            raise SessionError("the bot is stopping and takes no more messages")
        event = (str(inbound.key), inbound.event_id)
        if event in self._taken:
            return
        self._taken[event] = None
        if len(self._taken) > REMEMBERED_EVENTS:
            self._taken.popitem(last=False)
        answering = asyncio.create_task(self._answer(platform, inbound))
        self._answering.add(answering)
        answering.add_done_callback(self._answering.discard)

    async def _answer(self, platform: Platform, inbound: Inbound) -> None:
        request = TurnRequest(
            key=str(inbound.key),
            inputs=self.fields.inputs(inbound, self._now()),
            event_id=inbound.event_id,
            author=inbound.author.id,
            author_name=inbound.author.name,
        )
        try:
            async with self.conversations.turn(request) as turn:
                if turn is None:
                    return
                async with self._showing(platform, inbound) as shown:
                    text = await self._reply(turn, shown)
                turn_id = turn.committed.id if turn.committed is not None else ""
                await platform.post(Post(inbound, text or NO_ANSWER, turn_id))
        except Exception as error:  # noqa: BLE001  # whatever failed, the person who asked must hear of it
            await self._apologise(platform, inbound, error)

    async def _reply(self, turn: TakenTurn, shown: ReplyStream | None) -> str:
        # A server keeps no trace and no prompt history of what its users say.
        settings: dict[str, Any] = {"disable_history": True, "trace": []}
        if self._lm is not None:
            settings["lm"] = self._lm
        if shown is None:
            with dspy.context(**settings):
                return self.fields.text(await turn.run())
        result: Any = None
        pieces = turn.stream(self.fields.reply)
        async with contextlib.aclosing(pieces):
            with dspy.context(**settings):
                item = await anext(pieces)
            while True:
                if isinstance(item, StreamResponse):
                    await shown.append(item.chunk)
                elif isinstance(item, StatusMessage):
                    await shown.status(item.message)
                else:
                    result = item
                try:
                    item = await anext(pieces)
                except StopAsyncIteration:
                    return self.fields.text(result)

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

    async def _apologise(self, platform: Platform, inbound: Inbound, error: Exception) -> None:
        """Failure is an answer too: one line for the person, the rest for the log."""
        reference = secrets.token_hex(4)
        logger.error("No answer to %s in %s (reference %s)", inbound.event_id, inbound.key, reference, exc_info=error)
        with contextlib.suppress(Exception):  # the platform may be what failed, and it has been logged
            await platform.post(Post(inbound, f"Sorry, something went wrong on my side (reference {reference})."))
