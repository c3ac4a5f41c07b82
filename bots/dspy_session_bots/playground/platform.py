"""The playground as a platform of the bot, and as the sink that its turn log reads."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from aiohttp import web

from dspy_session import ConfigurationError
from dspy_session.conversation import Conversations, TurnEvent
from dspy_session.errors import PlatformError
from dspy_session_bots.playground.answer import LiveAnswer
from dspy_session_bots.playground.commands import USUAL
from dspy_session_bots.playground.deliveries import Deliveries, Verify
from dspy_session_bots.playground.desk import Desk
from dspy_session_bots.playground.feed import HEARTBEAT_SECONDS, Feed
from dspy_session_bots.playground.following import Following
from dspy_session_bots.playground.guard import own_hosts
from dspy_session_bots.playground.key import PLATFORM, conversation_key, place_of, written_in
from dspy_session_bots.playground.port import address, listen
from dspy_session_bots.playground.saying import Saying
from dspy_session_bots.playground.shelf import Shelf
from dspy_session_bots.playground.site import HOOK, Site
from dspy_session_bots.playground.threads import Threads
from dspy_session_chat import Action, Attachment, Button, Event, Growing, Opened, Post, Posted, Receive
from dspy_session_chat.fields import AgentFields
from dspy_session_chat.needs import Named

NO_BOT = "the playground is not on a bot: Bot(agent, platforms=[playground], …)"
EDIT_SECONDS = 0.1
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
        buttons: False where the bot's ``Manners`` have no buttons: then the page has none of its own either.
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
        buttons: bool = True,
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
        self._buttons = buttons
        self._on_ready = on_ready
        self._input_field = input_field
        self._output_field = output_field
        self._heartbeat = heartbeat
        self._now = now
        self._threads: Threads | None = None
        self._saying: Saying | None = None
        self._following: Following | None = None
        self._shelf = Shelf()
        self._commands = USUAL
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
        self._threads = Threads(conversations, fields, Feed(self._heartbeat), buttons=self._buttons)
        self._saying = Saying(self._threads, self._shelf)

    def use_commands(self, commands: Sequence[Named]) -> None:
        """Called by the bot, before ``run``: what the page offers."""
        self._commands = commands

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
        self._following = following = Following(threads.look_again, threads.settle)
        try:
            await threads.load()
            async with _served(self._site(threads, following, receive), self._listening):
                self._on_ready(self.url)
                await asyncio.Event().wait()
        finally:
            self._running = False
            await following.aclose()
            await self.aclose()

    async def post(self, post: Post) -> Posted:
        """Show an answer."""
        message_id = await self._shown_by().post(post)
        if isinstance(post.inbound, Action) and self._following is not None:
            self._following.follow(place_of(post.inbound))
        return Posted((message_id,))

    @asynccontextmanager
    async def stream(self, growing: Growing) -> AsyncIterator[LiveAnswer]:
        """Show an answer while it is written."""
        saying = self._shown_by()
        await saying.begin(growing.inbound)
        answer = LiveAnswer(lambda text, status: saying.grow(growing.inbound, text, status))
        try:
            yield answer
        finally:
            answer.close()
            saying.end(growing.inbound)

    @property
    def edit_seconds(self) -> float:
        """A page on this machine keeps up with anything that people can read."""
        return EDIT_SECONDS

    def parts(self, text: str) -> Sequence[str]:
        """One message holds it all."""
        return (text,)

    async def begin(self, inbound: Event, part: str, buttons: Sequence[Button] = ()) -> str:
        """Show a message more of which is to come."""
        return await self._shown_by().put(inbound, part, buttons)

    async def edit(self, inbound: Event, message_id: str, part: str, buttons: Sequence[Button] = ()) -> None:
        """Let a message say something else.

        Raises:
            PlatformError: There is no such message.
        """
        await self._shown_by().change(inbound, message_id, part, buttons)

    async def open_thread(self, inbound: Event, title: str) -> Opened:
        """Open a thread beside the one that somebody is in; for the same event it is the same thread."""
        thread = hashlib.sha256(inbound.event_id.encode()).hexdigest()[:13]
        self._known_threads().opened(thread, title, self._now())
        named = "".join(" " if letter in "[]\\\n" else letter for letter in title).strip()
        return Opened(
            conversation_key(thread), written_in(thread), f"[{named or 'the new thread'}]({self.url}#{thread})"
        )

    @asynccontextmanager
    async def fetch(self, attachment: Attachment) -> AsyncIterator[AsyncIterator[bytes]]:
        """What is in a file that came with a message.

        Raises:
            PlatformError: It is not there any more.
        """
        kept = self._shelf.at(attachment.url)
        if kept is None:
            raise PlatformError(f"{attachment.name} is not here any more: send it once more")

        async def pieces() -> AsyncIterator[bytes]:
            yield kept.data

        yield pieces()

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
            raise ConfigurationError(NO_BOT)
        return self._threads

    def _shown_by(self) -> Saying:
        if self._saying is None:
            raise ConfigurationError(NO_BOT)
        return self._saying

    def _site(self, threads: Threads, following: Following, receive: Receive) -> Site:
        assert self._listening is not None
        return Site(
            title=self._title,
            hosts=own_hosts(self._listening.getsockname()[1]),
            threads=threads,
            deliveries=None if self._verify is None else Deliveries(self._verify, threads.feed, self._now),
            shelf=self._shelf,
            desk=Desk(threads, self._shown_by(), self._shelf, following, receive, address=self.url, now=self._now),
            commands=lambda: self._commands,
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
