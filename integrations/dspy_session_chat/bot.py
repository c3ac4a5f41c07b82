"""The bot: an agent, the places where people talk to it, and the conversations in between."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain
from types import MappingProxyType
from typing import Self

import dspy

from dspy_session import ConfigurationError, SessionError
from dspy_session.conversation import Conversations, DurableSink, Sink
from dspy_session.conversation.holds import LEASE_SECONDS
from dspy_session.conversation.runtime import Runtime
from dspy_session.stores import SealingKey, Store
from dspy_session_chat.action import Action, Event, Reaction
from dspy_session_chat.agents import agents_of
from dspy_session_chat.commands import BotCommand, Commands, Handler
from dspy_session_chat.deciding import NeedsQuestions, is_open
from dspy_session_chat.desk import Desk
from dspy_session_chat.duration import seconds_of
from dspy_session_chat.fields import AgentFields
from dspy_session_chat.files.attachments import FileLimits
from dspy_session_chat.forms import Forms
from dspy_session_chat.markup.outward import outward
from dspy_session_chat.means import Means
from dspy_session_chat.needs import NeedsAccess, NeedsCommands, NeedsConversations, NeedsManners
from dspy_session_chat.options import check_model, check_platforms, check_rules, check_seconds, check_that_it_can_think
from dspy_session_chat.placing import Placing
from dspy_session_chat.platform import Platform, Receive, by_name
from dspy_session_chat.posting import Poster
from dspy_session_chat.ratings import SCORES, Ratings
from dspy_session_chat.rules.access import Access
from dspy_session_chat.rules.gate import Gate
from dspy_session_chat.rules.limits import Limits, shortened
from dspy_session_chat.rules.manners import Manners, is_heard
from dspy_session_chat.rules.prices import models_of
from dspy_session_chat.stopping import finishing, stopped_by_signals
from dspy_session_chat.wavering import Wavering

logger = logging.getLogger(__name__)

DEFAULT_LIMITS = Limits(input_characters=40_000, reply_characters=40_000, seconds=600.0)
"""Where nobody says otherwise: a model that hangs must not hold a conversation up for ever."""
RETENTION_SECONDS = 3600.0
"""How often it is looked for what is too old."""


class Bot:
    """An agent that answers people.

        bot = Bot(agent, platforms=[Slack(), Discord()], store="sqlite:///bot.db")
        bot.run()

    Inside a program that has its own event loop, use ``async with bot:`` instead of ``run``.

    Args:
        agent: A DSPy module or a session. It is wrapped in a session if it is none.
        platforms: Where people talk to it.
        channels: Agents of single channels, by the platform's id or by the name that people see, with their threads;
            or what the agent is told there besides, as a text that is added to its instructions.
        store: Where conversations are kept: a URL (``sqlite:///bot.db``, ``postgresql://…``, ``memory://``) or a store.
        keys: Keys to encrypt what people say with, as ``Conversations`` takes them.
        sinks: Told of each turn, for example a ``Webhook``.
        manners: How it behaves among people: when it speaks up, what is one conversation, what becomes of messages
            that come while it is at work.
        limits: How much people may ask of it; ``DEFAULT_LIMITS`` if None.
        access: Who may ask.
        files: How much of people's files is read.
        scores: What reactions are worth: ``{"👍": 1.0, "👎": 0.0}``; the buttons are worth what these two are.
        allow_hosts: Hosts whose images may stand in answers; those of others become links, since whoever looks at an
            image tells its host.
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
        channels: Mapping[str, dspy.Module | str] = MappingProxyType({}),
        store: str | Store = "sqlite:///bot.db",
        keys: str | SealingKey | Sequence[str | SealingKey] | None = None,
        sinks: Sequence[Sink | DurableSink] = (),
        manners: Manners | None = None,
        limits: Limits | None = None,
        access: Access | None = None,
        files: FileLimits | None = None,
        scores: Mapping[str, float] = SCORES,
        allow_hosts: Collection[str] = (),
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
        check_platforms(platforms)
        check_rules(access=access, limits=limits, manners=manners, files=files)
        check_model(lm)
        check_seconds("lease_seconds", lease_seconds)
        check_seconds("grace", grace, or_none_at_all=True)
        manners, limits, access = manners or Manners(), limits or DEFAULT_LIMITS, access or Access()
        if manners.scope == "user" and channels:
            raise ConfigurationError('with scope="user" a conversation is of no channel: give channels no agents')

        def polish(text: str) -> str:
            return outward(shortened(limits, text), allow_hosts)

        def forms(fields: AgentFields) -> Forms:
            return Forms(fields, polish, reasoning=manners.show_reasoning, table=manners.show_fields)

        self.agents = agents_of(agent, channels, limits, forms, input_field=input_field, output_field=output_field)
        session, models = self.agents.usual.session, [models_of(each.session, lm) for each in self.agents]
        self.fields = self.agents.usual.fields
        self.conversations = Conversations(
            session, store, keys=keys, sinks=sinks, agent_version=agent_version, lease_seconds=lease_seconds
        )
        self.commands = Commands()
        self._platforms = by_name(platforms)
        self.manners = manners
        self._lm = lm
        self._access = access
        self._ratings = Ratings(scores)
        self._wavering = Wavering(self._ratings, self.conversations.clock)
        self._poster = Poster(self.conversations, self._platforms, manners.most_posts)
        self._placing = Placing(self.conversations.store, manners, self._poster.growing)
        self._desk = Desk(
            Means(
                conversations=self.conversations,
                poster=self._poster,
                agents=self.agents,
                polish=polish,
                manners=manners,
                limits=limits,
                access=access,
                gate=Gate(limits, access, self.conversations.store, self.conversations.clock, chain(*models)),
                files=files or FileLimits(),
                ratings=self._ratings,
                commands=self.commands,
                lm=lm,
                now=now,
                lease_seconds=lease_seconds,
            )
        )
        self._runtime = Runtime(
            self.conversations, self._desk.handle, handles=lambda key: key.split(":", 1)[0] in self._platforms
        )
        self._keep = None if keep is None else seconds_of(keep)
        self._expiring: asyncio.Task[None] | None = None
        self._grace = grace
        self._listening: dict[asyncio.Task[None], Platform] = {}
        self._closing = self._hurried = False

    def command(
        self,
        name: str,
        description: str,
        *,
        aliases: Sequence[str] = (),
        takes: str = "",
        admin: bool = False,
        private: bool = False,
    ) -> Callable[[Handler], Handler]:
        """Make a function a command of the bot.

            @bot.command("weather", "What the weather is like.", takes="[where]")
            async def weather(asked):
                return f"It rains in {asked.text or 'London'}."

        It is called with an ``Asked`` and returns what is said: Markdown, a ``Reply``, or None for nothing. Meanwhile
        no message is answered in that conversation.

        Args:
            name: Its name: lower-case letters, digits and hyphens, 32 at most.
            description: What it does, in one line of 100 characters at most.
            aliases: Other names for it.
            takes: What may be written after it, for the help.
            admin: Whether only admins may give it.
            private: Whether what it says is for the one who gave it alone, where the platform can.

        Raises:
            ConfigurationError: A name is taken or does not fit, the description does not, or the function is no
                ``async def`` of one argument.
        """

        def add(handler: Handler) -> Handler:
            self.commands.add(BotCommand(name, description, handler, tuple(aliases), takes, admin, private))
            return handler

        return add

    # --- life -----------------------------------------------------------------------------------------------------

    def run(self, *, tell: Callable[[str], None] = logger.info) -> None:
        """Run until Ctrl-C or SIGTERM, then finish what is under way; with a second Ctrl-C it is handed back at once.

        Args:
            tell: Called with a line for whoever stops it while an answer is under way.

        Raises:
            SessionError: A platform or the store refuses us.
        """
        asyncio.run(self._run(tell))

    async def _run(self, tell: Callable[[str], None]) -> None:
        with stopped_by_signals() as stop:
            hurrying = asyncio.create_task(self._hurry(stop.at_once), name="hurry")
            try:
                await self._until(stop.asked, tell)
            finally:
                hurrying.cancel()
                await asyncio.gather(hurrying, return_exceptions=True)

    async def _hurry(self, at_once: asyncio.Event) -> None:
        """Once somebody wants that, wait for nothing any more."""
        await at_once.wait()
        self._hurried = True
        self._runtime.hand_back()

    async def _until(self, stopped: asyncio.Event, tell: Callable[[str], None]) -> None:
        """Run until ``stopped`` is set."""
        async with self:
            stopping, serving = asyncio.create_task(stopped.wait()), asyncio.create_task(self.serve())
            gc.collect()
            gc.freeze()  # what is loaded now stays: looking through it takes 80 ms, in which nobody is answered
            try:
                await asyncio.wait([stopping, serving], return_when=asyncio.FIRST_COMPLETED)
                if serving.done():
                    await serving
                elif self._runtime.under_way:
                    tell(finishing(self._runtime.under_way, self._grace))
            finally:
                gc.unfreeze()
                for task in (stopping, serving):
                    task.cancel()
                await asyncio.gather(stopping, serving, return_exceptions=True)

    async def __aenter__(self) -> Self:
        for agent in self.agents:
            check_that_it_can_think(agent.session, self._lm)
        self._closing = self._hurried = False
        await self.conversations.open()
        self._runtime.start()
        for name, platform in self._platforms.items():
            if isinstance(platform, NeedsConversations):
                platform.use_conversations(self.conversations)
            if isinstance(platform, NeedsCommands):
                platform.use_commands(tuple(self.commands))
            if isinstance(platform, NeedsManners):
                platform.use_manners(self.manners)
            if isinstance(platform, NeedsAccess):
                platform.use_access(self._access)
            if isinstance(platform, NeedsQuestions):
                platform.use_questions(lambda action: is_open(action, self._poster.questions, self._access))
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

        def left() -> float:
            return 0.0 if self._hurried else max(0.0, deadline - loop.time())

        await self._runtime.drain(self._grace)
        for sink in self.conversations.telling.listeners:  # before the platforms: a sink may deliver to one of them
            try:
                await sink.aclose(left())
            except Exception:  # one that cannot be closed must not keep the others open
                logger.warning("The sink %s failed to close", type(sink).__name__, exc_info=True)
        await self.conversations.telling.aclose(left())
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

    # --- events ---------------------------------------------------------------------------------------------------

    def _receiver(self, name: str) -> Receive:
        async def receive(event: Event) -> None:
            if self._closing:
                raise SessionError("the bot is stopping and takes no more messages")
            if not self._is_heard(event):
                return
            waiting = await self._placing.placed(name, event)
            if waiting is not None and not self._wavering.is_over(waiting):
                await self._runtime.receive(waiting.arrival(self.conversations.clock()))

        return receive

    def _is_heard(self, event: Event) -> bool:
        """Whether an event can be for the bot. Most of what a busy server brings is not, and is dropped here."""
        if event.author.is_bot and self._access.denial(event) is not None:
            return False
        if isinstance(event, Action) and isinstance(event.deed, Reaction):
            return self._ratings.of_reaction(event.deed) is not None
        return is_heard(event, self.manners)

    async def _expire(self, keep: float) -> None:
        """Forget what is older than ``keep`` seconds, now and every hour."""
        while True:
            try:
                await self.conversations.forget_before(self.conversations.clock() - keep)
            except SessionError as error:
                logger.warning("What is too old could not be forgotten, next try in an hour: %s", error)
            except Exception:  # whatever it is, it must be tried again
                logger.exception("What is too old could not be forgotten, next try in an hour")
            await asyncio.sleep(RETENTION_SECONDS)
