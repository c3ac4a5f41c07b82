"""The playground as a platform of the bot, and as the sink that its turn log reads."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from aiohttp import web

from dspy_session import ConfigurationError, SessionError
from dspy_session.conversation import Conversations, TurnEvent
from dspy_session_bots.playground.answer import LiveAnswer
from dspy_session_bots.playground.deliveries import Deliveries, Verify
from dspy_session_bots.playground.feed import HEARTBEAT_SECONDS, Feed
from dspy_session_bots.playground.guard import own_hosts
from dspy_session_bots.playground.key import PLATFORM, conversation_key
from dspy_session_bots.playground.port import address, listen
from dspy_session_bots.playground.site import HOOK, Site
from dspy_session_bots.playground.threads import Threads
from dspy_session_chat import Author, Inbound, Post, Posted, Receive
from dspy_session_chat.fields import AgentFields

YOU = Author(id="you", name="You")

SHUTDOWN_SECONDS = 2.0
"""How long requests under way are given when the server stops; open pages are let go of at once."""


class Playground:
    """A page on this machine to talk to an agent, with its turn log beside it.

    It is the platform that people talk on, and the sink that its turn log reads::

        playground = Playground(port=8765)
        bot = Bot(agent, platforms=[playground], sinks=[playground])

    With ``verify`` the server has a local webhook at ``hook_url``, and the page shows what arrives there::

        playground = Playground(port=8765, verify=signed_with(secret))
        playground.bind()
        bot = Bot(agent, platforms=[playground],
                  sinks=[playground, Webhook(playground.hook_url, secret, allow_loopback=True)])

    Args:
        host: The address to listen on; only this machine's own, for there is no sign-in.
        port: The port to listen on; 0 takes a free one.
        agent_name: What the page calls the agent.
        model_name: Which model answers, as the page says it.
        verify: Checks the signatures of what arrives at the local webhook; without it there is none.
        on_ready: Called with the page's URL once it can be opened.
        input_field: As for the ``Bot``, when the agent's input that takes the message has to be named.
        output_field: As for the ``Bot``, when the agent's output that is the reply has to be named.
        heartbeat: Seconds of silence after which an open page is sent a sign of life.
        now: The time, for tests.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        agent_name: str = "Agent",
        model_name: str = "",
        verify: Verify | None = None,
        on_ready: Callable[[str], None] = lambda url: None,
        input_field: str | None = None,
        output_field: str | None = None,
        heartbeat: float = HEARTBEAT_SECONDS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._host = host
        self._port = port
        self._title = {"agent": agent_name, "model": model_name}
        self._verify = verify
        self._on_ready = on_ready
        self._input_field = input_field
        self._output_field = output_field
        self._heartbeat = heartbeat
        self._now = now
        self._threads: Threads | None = None
        self._listening: socket.socket | None = None
        self._running = False

    @property
    def name(self) -> str:
        """``"playground"``."""
        return PLATFORM

    @property
    def url(self) -> str:
        """Where the page is.

        Raises:
            ConfigurationError: The port has not been taken yet.
        """
        if self._listening is None:
            raise ConfigurationError("the playground has no address yet: call bind() first")
        return address(self._listening)

    @property
    def hook_url(self) -> str:
        """Where the local webhook is.

        Raises:
            ConfigurationError: The port has not been taken yet.
        """
        return self.url + HOOK

    def bind(self) -> None:
        """Take the port now, for those who must know the address before ``run``; ``run`` does it otherwise.

        Raises:
            PlatformError: The port cannot be had.
            ConfigurationError: The address is not this machine's own, or the port is no port.
        """
        if self._listening is None:
            self._listening = listen(self._host, self._port)

    def use_conversations(self, conversations: Conversations) -> None:
        """Called by the bot, before ``run``."""
        fields = AgentFields.of(conversations.session, self._input_field, self._output_field)
        self._threads = Threads(conversations, fields, Feed(self._heartbeat))

    async def run(self, receive: Receive) -> None:
        """Serve the page, until cancelled.

        Raises:
            PlatformError: The port cannot be had.
            StoreError: The conversations cannot be read.
        """
        threads = self._known_threads()
        self.bind()
        assert self._listening is not None
        self._running = True
        try:
            await threads.load()
            async with _served(self._site(threads, receive), self._listening):
                self._on_ready(self.url)
                await asyncio.Event().wait()
        finally:
            self._running = False
            await self.aclose()

    async def post(self, post: Post) -> Posted:
        """Show an answer."""
        if isinstance(post.inbound, Inbound):
            self._known_threads().answered(post.inbound, post.text, post.turn_id)
        return Posted((f"{post.inbound.event_id}-answer",))

    @asynccontextmanager
    async def stream(self, inbound: Inbound) -> AsyncIterator[LiveAnswer]:
        """Show an answer while it is written."""
        threads = self._known_threads()
        threads.working(inbound)
        answer = LiveAnswer(lambda text, status: threads.working(inbound, text, status))
        try:
            yield answer
        finally:
            answer.close()

    async def send(self, event: TurnEvent) -> None:
        """Show a turn in the turn log."""
        self._known_threads().recorded(event)

    async def aclose(self, grace: float = 5.0) -> None:
        """Give the port back, unless the page is being served: then ``run`` does, when it ends.

        A bot closes its sinks before its platforms, and this is both.
        """
        if self._listening is not None and not self._running:
            self._listening.close()
            self._listening = None

    def _known_threads(self) -> Threads:
        if self._threads is None:
            raise ConfigurationError("the playground is not on a bot: Bot(agent, platforms=[playground], …)")
        return self._threads

    def _site(self, threads: Threads, receive: Receive) -> Site:
        async def say(thread: str, message_id: str, text: str) -> None:
            inbound = Inbound(conversation_key(thread), message_id, YOU, text, "direct", self._now())
            await threads.open(thread)
            threads.heard(inbound)
            try:
                await receive(inbound)
            except SessionError as error:
                threads.answered(inbound, str(error), "")

        assert self._listening is not None
        return Site(
            title=self._title,
            hosts=own_hosts(self._listening.getsockname()[1]),
            threads=threads,
            deliveries=None if self._verify is None else Deliveries(self._verify, threads.feed, self._now),
            say=say,
        )


@asynccontextmanager
async def _served(site: Site, listening: socket.socket) -> AsyncIterator[None]:
    """Serve a site, for as long as the block runs."""

    async def let_go(_application: web.Application) -> None:
        site.threads.feed.close()

    application = site.application()
    application.on_shutdown.append(let_go)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await web.SockSite(runner, listening).start()
        yield
    finally:
        await runner.cleanup()
