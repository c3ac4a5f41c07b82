"""Slack as a platform of the bot."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from functools import cached_property

from aiohttp import web
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from dspy_session.conversation import Conversations
from dspy_session.errors import ConfigurationError, PlatformError
from dspy_session.stores import Vault
from dspy_session_chat.action import Event
from dspy_session_chat.deciding import IsOpen
from dspy_session_chat.growing import Growing, ReplyStream
from dspy_session_chat.inbound import Attachment
from dspy_session_chat.naming import EventT
from dspy_session_chat.needs import Named
from dspy_session_chat.platform import Opened, Post, Posted, Receive, Said
from dspy_session_chat.reply import Button
from dspy_session_chat.rules.access import Access
from dspy_session_chat.rules.manners import Manners
from dspy_session_chat.shown import EditedStream
from dspy_session_slack.assistant import Assistant
from dspy_session_slack.home import Home
from dspy_session_slack.inbound.attached import is_withheld, with_files, withholds
from dspy_session_slack.key import PLATFORM
from dspy_session_slack.oauth import OAuth
from dspy_session_slack.outbound.harmless import harmless, like_ids
from dspy_session_slack.outbound.opening import open_thread
from dspy_session_slack.outbound.pace import Edits
from dspy_session_slack.outbound.saying import parts
from dspy_session_slack.outbound.streaming import SlackStream
from dspy_session_slack.outbound.streams import Streams, checked_streams
from dspy_session_slack.reception import Reception
from dspy_session_slack.refusals import TokenRefusedError
from dspy_session_slack.setup.sign_in import check_fetching, check_tokens
from dspy_session_slack.told import Told
from dspy_session_slack.transport.mounting import AsgiApp, routes
from dspy_session_slack.transport.sockets import check_sockets
from dspy_session_slack.transport.transports import Asked, app_token_of
from dspy_session_slack.unnamed import renamed, unnamed_in
from dspy_session_slack.ways import Given, Ways
from dspy_session_slack.web_client import keeping_connections
from dspy_session_slack.workspace import Workspace

_log = logging.getLogger(__name__)

EDIT_SECONDS = 1.2
"""``chat.update`` is of Slack's third tier, 50 calls a minute in a workspace: one every 1.2 seconds."""


class Slack:
    """Talks to people in Slack: DMs, mentions, and the threads that a mention opens.

    The bot hears all that is said and done where it is: of each message, whether it came by a DM, by a mention, in a
    thread that the bot is in, or was said among others. A mention in a channel is answered in a thread on that message.
    Nobody is notified by what the bot writes, and links in it do not unfurl.

    Either the kit owns the Bolt app, or it joins one that has handlers of its own, ``Slack(app=my_async_app)``: those
    see every event as before. Set them before ``run``, which also acknowledges the events that none of them takes.

    Slack reaches the bot over a socket that the bot opens (``app_token``), or over HTTP (``signing_secret``): then the
    bot listens by itself (``listen``), or is mounted in a server that is there already (``routes``, ``asgi``).

    Args:
        bot_token: The bot token, ``xoxb-…``; by default that of ``app`` or ``client``, else ``SLACK_BOT_TOKEN``.
        app_token: The app-level token, ``xapp-…``, for a socket; by default ``SLACK_APP_TOKEN``.
        signing_secret: What requests are signed with, for HTTP; by default ``SLACK_SIGNING_SECRET``, where there is no
            app-level token.
        listen: Where to listen for requests: ``"127.0.0.1:3000"``, or ``":3000"`` for every address of the machine.
        app: A Bolt app to join.
        client: A client to call Slack with, set up with a proxy, an address or TLS of your own.
        ping_interval: Seconds between two pings on the socket; one that stays silent for four is replaced.
        sockets: How many sockets are open at once, 10 at most: with several, one that breaks holds nothing up.
        assistant: What people find in Slack's view for agents, where the app has it.
        oauth: Lets many workspaces install the app, each with a bot token of its own.
        streams: Where an answer that is being written is shown by Slack's own streams, and not by edits: in the threads
            of an agent's DMs, ``"everywhere"`` in every thread, ``"nowhere"``. In a channel, only who asked sees a
            stream grow.

    Raises:
        ConfigurationError: Options that do not go together: ``client`` or ``oauth`` with ``app``, which has its own;
            ``bot_token`` with ``oauth``; or those of both ways.
    """

    def __init__(
        self,
        *,
        bot_token: str | None = None,
        app_token: str | None = None,
        signing_secret: str | None = None,
        listen: str | None = None,
        app: AsyncApp | None = None,
        client: AsyncWebClient | None = None,
        ping_interval: float = 5.0,
        sockets: int = 1,
        assistant: Assistant | None = None,
        oauth: OAuth | None = None,
        streams: Streams = "dms",
    ) -> None:
        if app is not None and client is not None:
            raise ConfigurationError("an app has a client: give Slack either app= or client=")
        if oauth is not None and (app is not None or bot_token is not None):
            raise ConfigurationError(
                "with oauth= each workspace that installs the app has a bot token: give neither bot_token= nor app="
            )
        self._asked = Asked(app_token, signing_secret, listen)
        self._app = app
        check_sockets(sockets)
        self._ping_interval = ping_interval
        self._sockets = sockets
        self._reception: Reception | None = None  # while running
        self._told = Told(assistant=assistant)
        calling = app.client if app is not None else client
        self._ways = Ways(
            Given(self._asked, bot_token, app, calling, oauth), lambda: self._told, lambda: self._reception
        )
        self._streams = checked_streams(streams)

    def __repr__(self) -> str:
        return "Slack()" if self._app is None else f"Slack(app={self._app.name!r})"

    @property
    def name(self) -> str:
        """``"slack"``."""
        return PLATFORM

    async def run(self, receive: Receive) -> None:
        """Connect and hand what people write and do to ``receive``, until cancelled.

        An event is acknowledged once ``receive`` has returned; until then Slack keeps it, and sends it again. While
        Slack cannot be reached, the bot tries again to connect.

        Raises:
            PlatformError: A token is missing or refused, or lacks a scope.
            ConfigurationError: It is running already, or nobody can listen where it shall.
        """
        if self._reception is not None:
            raise ConfigurationError("this Slack platform is running already; make one per bot")
        app_token = app_token_of(self._asked)
        over_http = app_token is None and bool(self._asked.secret)
        client, workspaces, entrance = self._ways.client, self._ways.workspaces, self._ways.entrance
        check_tokens(client.token, app_token, over_http=over_http, many=self._ways.many is not None)
        await entrance.check()  # Slack may be out of reach for long: a port that is taken is told before
        async with keeping_connections(client):
            who = await workspaces.open()
            self._reception = Reception(workspaces, receive, self._told, shared=self._app is not None)
            try:
                async with entrance.open(
                    app_token, client, ping_interval=self._ping_interval, sockets=self._sockets
                ) as ended:
                    _log.info("Listening in Slack as %s", who)
                    await ended()
            finally:
                reception, self._reception = self._reception, None
                await reception.aclose()
                workspaces.close()

    def routes(self, prefix: str = "/slack") -> list[web.RouteDef]:
        """Where Slack's requests go, for an aiohttp application: ``application.add_routes(slack.routes())``.

        Args:
            prefix: What the paths begin with: events go to ``/slack/events``.
        """
        return routes(self._ways.entrance.doors, prefix)

    @cached_property
    def asgi(self) -> AsgiApp:
        """Where Slack's requests go, for any ASGI server or framework: mounted at ``/slack``, events go to
        ``/slack/events``. The bot has to run beside it.
        """
        return AsgiApp(lambda: self._ways.entrance.doors)

    def use_conversations(self, conversations: Conversations) -> None:
        """Called by the bot, before ``run``: where installations are kept, and what is deleted with them."""
        vault = conversations.store if isinstance(conversations.store, Vault) else None
        self._told = replace(self._told, conversations=conversations, vault=vault)

    def use_commands(self, commands: Sequence[Named]) -> None:
        """Called by the bot, before ``run``: the commands that people give with a slash."""
        self._told = replace(self._told, commands=tuple(commands))

    def use_manners(self, manners: Manners) -> None:
        """Called by the bot, before ``run``: what is one conversation."""
        self._told = replace(self._told, manners=manners)

    def use_access(self, access: Access) -> None:
        """Called by the bot, before ``run``: who may ask, for what people ask by a command is said before it is
        answered.
        """
        self._told = replace(self._told, access=access)

    def use_questions(self, is_open: IsOpen) -> None:
        """Called by the bot, before ``run``: whether a press may come to something, so nobody is asked in vain."""
        self._told = replace(self._told, is_open=is_open)

    async def post(self, post: Post) -> Posted:
        """Post an answer, in as many messages as Slack's limit asks for; none for an answer without text.

        Sources and fields stand beneath the text, files in a message of their own, what the agent thought nowhere. An
        answer for one person alone has messages without ids, except in a DM, which has nobody else in it.

        Raises:
            PlatformError: Slack refused it or could not be reached.
        """
        tried: Workspace | None = None
        try:
            async with self._ways.at(post.inbound) as workspace:
                tried = workspace
                return await workspace.posting.post(post)
        except TokenRefusedError:
            again = await self._ways.renewed(post.inbound)
            if again is None or again is tried:
                raise
        return await again.posting.post(post)

    @property
    def edit_seconds(self) -> float:
        """Slack asks for a second between two edits of a message, and allows fifty a minute for all of them."""
        return EDIT_SECONDS

    def parts(self, text: str) -> Sequence[str]:
        """Markdown in as many messages as it needs."""
        return parts(text)

    async def begin(self, inbound: Event, part: str, buttons: Sequence[Button] = ()) -> str:
        """Post a message in answer to ``inbound``; its id.

        Raises:
            PlatformError: Slack refused it or could not be reached.
        """
        async with self._ways.at(inbound) as workspace:
            return await workspace.posting.begin(inbound, part, buttons)

    async def edit(self, inbound: Event, message_id: str, part: str, buttons: Sequence[Button] = ()) -> None:
        """Let a message say something else; buttons that are not given go.

        Raises:
            PlatformError: Slack refused it or could not be reached.
        """
        async with self._ways.at(inbound) as workspace:
            await workspace.posting.edit(message_id, part, buttons)

    @asynccontextmanager
    async def typing(self, inbound: Event) -> AsyncIterator[None]:
        """Show in Slack's view for agents that the bot is at work."""
        async with AsyncExitStack() as stack:
            with suppress(PlatformError):  # it is told where it matters: the answer cannot be posted either
                panel = (await self._ways.workspace(inbound)).panel
                await stack.enter_async_context(panel.typing(inbound, self._told.assistant))
            yield

    @asynccontextmanager
    async def stream(self, growing: Growing) -> AsyncIterator[ReplyStream]:
        """Show an answer while it is written, by Slack's own stream or by edits."""
        try:
            workspace = await self._ways.workspace(growing.inbound)
        except PlatformError:  # it is told when the answer is posted
            async with EditedStream.of(self, growing).open() as unseen:
                yield unseen
            return
        stream = self._stream(workspace, growing)
        with workspace.streams.pace.shared():
            async with stream.open():
                yield stream

    def _stream(self, workspace: Workspace, growing: Growing) -> SlackStream | EditedStream:
        edits, known = Edits(self, workspace.streams.pace, self._change), workspace.directory.known
        if workspace.streams.suit(growing, self._streams):
            return SlackStream(edits, workspace.streams, growing, lambda text: harmless(text, known(like_ids(text))))
        return EditedStream.of(edits, growing)

    async def _change(self, inbound: Event, message_id: str, part: str, buttons: Sequence[Button]) -> None:
        async with self._ways.at(inbound) as workspace:
            await workspace.posting.edit(message_id, part, buttons, waits=False)

    async def named(self, event: EventT) -> EventT:
        """The same with the names and files that Slack did not tell of when it came, as far as it does now."""
        ids = unnamed_in(event)
        if not (ids or withholds(event)):
            return event
        try:
            workspace = await self._ways.workspace(event)
        except PlatformError:  # it is told when the answer is posted
            return event
        named = renamed(event, await workspace.directory.names(ids, at_leisure=True))
        return await with_files(workspace.client, named)

    async def spelled(self, event: Event, command: str) -> str:
        """A command after the bot's name: what begins with a slash, Slack takes for a command of its own."""
        try:
            return f"@{(await self._ways.workspace(event)).bot.name} {command}"
        except PlatformError:  # it is told when the answer is posted
            return command

    async def said_before(self, inbound: Event, most: int) -> Sequence[Said]:
        """The newest ``most`` messages of the thread or DM before ``inbound``; none when Slack does not tell."""
        try:
            workspace = await self._ways.workspace(inbound)
        except PlatformError:  # it is told when the answer is posted
            return ()
        return await workspace.looking_back.said_before(inbound, workspace.bot, most)

    async def open_thread(self, inbound: Event, title: str) -> Opened:
        """Open a thread in the channel: a new message with that title, and a link to it.

        Raises:
            PlatformError: Slack refused it or could not be reached.
        """
        workspace = await self._ways.workspace(inbound)
        return await open_thread(workspace.client, workspace.threads, inbound, title)

    @asynccontextmanager
    async def fetch(self, attachment: Attachment) -> AsyncIterator[AsyncIterator[bytes]]:
        """What is in a file that came with a message, piece by piece, from Slack's own host for files.

        Raises:
            PlatformError: It cannot be had.
        """
        workspace = await self._ways.workspaces.find(Home.parse(attachment.source))
        check_fetching(workspace.bot)
        if is_withheld(attachment):
            raise PlatformError("Slack does not show it to the bot")
        async with workspace.downloader.fetch(attachment) as pieces:
            yield pieces
