"""The fake Slack itself: a server on 127.0.0.1, and what a test does and sees in the workspace."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import count
from typing import Any, Self, TypeVar

from aiohttp import web

from tests.loopback.slack import agents, chat, conversations, files, identity, orders, reactions, streams, views
from tests.loopback.slack.calls import METHODS, Call, Method, Refused
from tests.loopback.slack.chat import Post
from tests.loopback.slack.faults import Fault, Faults
from tests.loopback.slack.files import File
from tests.loopback.slack.http_mode import SECRET, HttpMode
from tests.loopback.slack.news import News
from tests.loopback.slack.oauth import Installs
from tests.loopback.slack.orders import Responses
from tests.loopback.slack.shown import Shown
from tests.loopback.slack.socket_mode import Ack, Connection, Delivery, SocketMode
from tests.loopback.slack.views import Triggers
from tests.loopback.slack.workspace import Channel, Message, Team, User, Workspace

T = TypeVar("T")

FAMILIES = (agents, chat, conversations, files, identity, reactions, streams, views)
"""The modules whose functions answer the Web API; importing them registers those."""

ANN = User("U0ANN", "ann", "Ann")
BEN = User("U0BEN", "ben", "Ben")
BOT = User("U0BOT", "helper", "Helper", bot_id="B0BOT")
OTHER_BOT = User("U0OTHERBOT", "ticker", "Ticker", bot_id="B0OTHERBOT")

BOT_SCOPES = frozenset(
    {
        *("app_mentions:read", "chat:write", "commands", "files:read", "files:write", "reactions:read", "users:read"),
        *("channels:read", "groups:read", *conversations.HISTORY),
    }
)
"""The least that the bot is set up with: all that it does has to do with these."""
EVENTS = frozenset(
    {
        *("app_mention", "message.channels", "message.groups", "message.mpim", "message.im"),
        *("reaction_added", "reaction_removed"),
    }
)

PATIENCE = 20.0
"""Seconds that a test waits for something before it fails."""


class FakeSlack:
    """A workspace with Ann, Ben, two bots and a few channels, served over real sockets.

    ``async with FakeSlack() as slack`` serves it; ``slack.base_url`` is for ``AsyncWebClient(base_url=…)``.

    Args:
        bot_scopes: Scopes of the bot token.
        app_scopes: Scopes of the app-level token.
        events: What the app is subscribed to.
        ack_timeout: Seconds until an event that was not acknowledged is sent again; Slack waits 3.
        team: What the workspace is called.
        beside: Another workspace of the same Slack: its server, and its app, are this one's too.
        port: Where it is served; 0 for any free port.
    """

    def __init__(
        self,
        *,
        bot_scopes: Iterable[str] = BOT_SCOPES,
        app_scopes: Iterable[str] = ("connections:write",),
        events: Iterable[str] = EVENTS,
        ack_timeout: float = 3.0,
        team: Team | None = None,
        beside: FakeSlack | None = None,
        port: int = 0,
    ) -> None:
        self._port = port
        self.team = team or Team()
        self._beside = beside
        self.bot_token = "xoxb-loopback-secret"
        self.app_token = "xapp-1-loopback-secret"
        self.bot = BOT
        self.scopes = {"bot": frozenset(bot_scopes), "app": frozenset(app_scopes)}
        self.workspace = Workspace()
        everyone = {user.id for user in (ANN, BEN, BOT, OTHER_BOT)}
        self.workspace.add(
            *(ANN, BEN, BOT, OTHER_BOT),
            Channel("C0GENERAL", "channel", "general", set(everyone)),
            Channel("C0ELSEWHERE", "channel", "elsewhere", everyone - {BOT.id}),
            Channel("G0SECRET", "group", "secret", set(everyone)),
            Channel("D0ANN", "im", members={ANN.id, BOT.id}),
            Channel("D0BEN", "im", members={BEN.id, BOT.id}),
        )
        self.sockets = SocketMode(ack_timeout) if beside is None else beside.sockets
        self.news = News(self.workspace, self.sockets, self.bot, frozenset(events), self.team)
        self.installs = Installs(self) if beside is None else beside.installs
        self.calls: list[Call] = []
        self.reached: set[str] = set()
        self.posts: list[Post] = []
        self.sent: dict[tuple[str, str], Message] = {}  # by what the app calls them: it may send one again
        self.reactions: dict[tuple[str, str], set[str]] = {}
        self.files: dict[str, File] = {}
        self.views: list[dict[str, Any]] = []
        self.triggers = Triggers()
        self.responses = Responses()
        self.view = agents.View()
        self.streams = streams.Streams()
        self.pinged: list[str] = []
        """Whom the app's words have notified so far, however they were said."""
        self.signing_secret = SECRET
        self.http: HttpMode | None = None
        self.address = ""
        self._faults = Faults()
        self._new_posts: asyncio.Queue[Post] = asyncio.Queue()
        self._new_views: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._client_numbers = count(1)
        application = web.Application()
        application.router.add_route("*", "/api/{method}", self._answer)
        application.router.add_get("/link/", self._link)
        application.router.add_post("/upload/v1/{file}", self._upload)
        application.router.add_get("/files-pri/{file}/{name}", self._download)
        application.router.add_get("/signin", files.sign_in)
        application.router.add_get("/oauth/v2/authorize", self.installs.authorize)
        application.router.add_post("/respond/{name}", self._respond)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)

    async def __aenter__(self) -> Self:
        if self._beside is not None:
            self.address = self.responses.address = self._beside.address
            return self
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        host, port = self._runner.addresses[0][:2]
        self.address = self.responses.address = f"{host}:{port}"
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._beside is not None:
            return
        await self.sockets.aclose()
        if self.http is not None:
            await self.http.aclose()
        await self._runner.cleanup()

    @property
    def base_url(self) -> str:
        """For ``AsyncWebClient(base_url=…)``."""
        return f"http://{self.address}/api/"

    @property
    def acks(self) -> list[Ack]:
        return self.sockets.acks

    @property
    def deliveries(self) -> list[Delivery]:
        """Every event that was handed to the app, in order."""
        return self.sockets.deliveries

    @property
    def connections(self) -> int:
        """How many sockets the app has open."""
        return len(self.sockets.connections)

    # What people do

    async def say(self, text: str, *, channel: str, user: str, thread_ts: str | None = None, **more: Any) -> Message:
        """Someone writes a message; ``more`` are further fields of the event (``subtype``, ``files``, …)."""
        message: Message = {"type": "message", "user": user, "text": text, "team": self.team.id, **more}
        if thread_ts is not None:
            message["thread_ts"] = thread_ts
        author = self.workspace.users[user]
        if author.bot_id:
            message |= {
                "bot_id": author.bot_id,
                "app_id": "A0OTHER",
                "bot_profile": {"id": author.bot_id, "name": author.display_name},
            }
        else:
            message["client_msg_id"] = f"client-{next(self._client_numbers)}"
        place = self.workspace.channels[channel]
        self.workspace.write(place, message)
        self.news.written(place, message)
        return message

    async def edit(self, message: Message, text: str, *, channel: str) -> None:
        """The author changes a message."""
        self.change(self.workspace.channels[channel], message, text)

    async def delete(self, message: Message, *, channel: str) -> None:
        """The author deletes a message."""
        self.remove(self.workspace.channels[channel], message)

    async def unfurl(self, message: Message, *, channel: str) -> None:
        """Slack shows what a link in a message leads to, and tells of it as of a change."""
        shown = {**message, "attachments": [{"title": "A page"}]}
        self.news.changed(self.workspace.channels[channel], message, shown)

    async def react(self, name: str, *, channel: str, ts: str, user: str, added: bool = True) -> Delivery | None:
        """Someone puts an emoji under a message, or with ``added=False`` takes it away."""
        message = self.workspace.channels[channel].message(ts) or {}
        event = {"type": "reaction_added" if added else "reaction_removed", "user": user, "reaction": name}
        event |= {"item": {"type": "message", "channel": channel, "ts": ts}, "item_user": message.get("user")}
        return await self.send(event) if event["type"] in self.news.events else None

    async def upload(self, name: str, data: bytes, media_type: str = "text/plain") -> dict[str, Any]:
        """A file of a person's, for ``say(…, files=[…], subtype="file_share")``."""
        file = self.new_file(name, len(data))
        file.media_type, file.data = media_type, data
        return file.info(self.address)

    async def press(self, label: str, *, channel: str, ts: str, user: str) -> Delivery:
        """Someone presses a button of a message."""
        place = self.workspace.channels[channel]
        message = place.message(ts)
        assert message is not None
        trigger, at = self.triggers.new(), self.workspace.now()
        payload = views.pressed(place, message, label, self.workspace.users[user], trigger, at)
        return self.sockets.deliver(payload, "interactive")

    async def command(self, name: str, text: str, *, channel: str, user: str) -> Delivery:
        """Someone gives a slash command; ``name`` begins with the slash."""
        trigger, respond = self.triggers.new(), self.responses.new(channel, user)
        place, author = self.workspace.channels[channel], self.workspace.users[user]
        return self.sockets.deliver(orders.command(name, text, place, author, trigger, respond), "slash_commands")

    async def shortcut(self, callback: str, *, channel: str, ts: str, user: str) -> Delivery:
        """Someone chooses a shortcut of the app in the menu of a message."""
        trigger, respond = self.triggers.new(), self.responses.new(channel, user)
        place, author = self.workspace.channels[channel], self.workspace.users[user]
        message = place.message(ts)
        assert message is not None
        payload = orders.shortcut(callback, place, message, author, trigger, respond)
        return self.sockets.deliver(payload, "interactive")

    async def open_agent(self, *, channel: str, user: str, viewing: str = "") -> Delivery:
        """Someone opens the app, in the agent view."""
        entities = [{"type": "slack#/types/channel_id", "value": viewing, "team_id": self.team.id}]
        event = agents.opened(self.workspace.channels[channel], user, {"entities": entities} if viewing else None)
        return await self.send(event)

    async def open_panel(self, *, channel: str, user: str, viewing: str) -> str:
        """Someone opens the assistant panel: Slack begins a thread; its ``ts``."""
        place = self.workspace.channels[channel]
        root: Message = {"type": "message", "user": self.bot.id, "text": "New Assistant Thread"}
        ts: str = self.workspace.write(place, root | {"subtype": "assistant_app_thread"})["ts"]
        await self.send(agents.panel("assistant_thread_started", place, ts, user, viewing))
        return ts

    async def stop_agent(self, *, channel: str, thread_ts: str, user: str, streams: Iterable[str] = ()) -> Delivery:
        """Someone presses the button that Slack shows while the app is at work in a thread."""
        event = {"type": "agent_session_stopped", "channel": channel, "thread_ts": thread_ts, "user": user}
        return await self.send(event | {"streaming_message_ts": list(streams)})

    async def look_at(self, viewing: str, *, channel: str, thread_ts: str, user: str) -> Delivery:
        """Someone looks at another channel beside the assistant panel."""
        place = self.workspace.channels[channel]
        return await self.send(agents.panel("assistant_thread_context_changed", place, thread_ts, user, viewing))

    async def submit(self, view: dict[str, Any], text: str | None, *, user: str) -> Delivery:
        """Someone fills in a modal and sends it off."""
        payload = views.submitted(view, text, self.workspace.users[user], self.triggers.new())
        return self.sockets.deliver(payload, "interactive")

    async def send(self, event: dict[str, Any]) -> Delivery:
        """Any other event happens."""
        return self.news.happened({"event_ts": self.workspace.now(), **event})

    async def redeliver(self, delivery: Delivery) -> None:
        """Slack sends an event that it sent before."""
        self.sockets.redeliver(delivery)

    # What goes wrong

    def fail(self, method: str, fault: Fault, *, times: int = 1) -> None:
        """Make the next ``times`` calls of a Web API method, or of ``"link"`` (the websocket), go wrong."""
        self._faults.add(method, fault, times)

    def lose_patience(self) -> None:
        """Slack waits no longer for the acknowledgements that are due, as it does otherwise after ``ack_timeout``."""
        self.sockets.lose_patience()

    async def refresh(self, reason: str = "refresh_requested", connections: Sequence[Connection] | None = None) -> None:
        """Slack asks for new connections, as it does every few hours; for all that are open, unless it says which."""
        await self.sockets.disconnect(reason, connections)

    def deliver_to(self, address: str, *, now: Callable[[], float] = time.time) -> HttpMode:
        """From now on whatever happens is brought to an address of the app's: ``127.0.0.1:3000``."""
        self.http = HttpMode(f"http://{address}/slack/events", self.sockets.ack_timeout, now)
        self.sockets.carried = self.http.carry
        return self.http

    def drop_connections(self) -> None:
        """Every open socket breaks without a word."""
        for connection in list(self.sockets.connections):
            connection.cut()

    # What a test waits for

    async def connected(self, count: int = 1) -> None:
        """Wait until the app has ``count`` sockets open."""
        await self.until(lambda: self.connections == count)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds that calls, deliveries or acknowledgements bring about."""
        changed = self.sockets.changed

        async def wait() -> None:
            async with changed:
                await changed.wait_for(holds)

        await self._within(wait(), "something to hold")

    async def next_post(self) -> Post:
        """The app's next post that was not asked for yet."""
        return await self._within(self._new_posts.get(), "a post")

    async def next_view(self) -> dict[str, Any]:
        """The app's next modal that was not asked for yet."""
        return await self._within(self._new_views.get(), "a modal")

    def shown(self, channel: str, thread_ts: str | None = None) -> list[Shown]:
        """The messages that stand in a channel, or in one of its threads with the message that began it."""
        place = self.workspace.channels[channel]
        return [Shown.of(each) for each in (place.messages if thread_ts is None else place.thread(thread_ts))]

    async def settled(self) -> None:
        """Wait until every event so far was acknowledged or given up."""
        await self._within(self.sockets.settled(), "acknowledgements")

    def called(self, method: str) -> list[Call]:
        """The calls of one Web API method so far."""
        return [call for call in self.calls if call.method == method]

    async def _within(self, awaitable: Awaitable[T], what: str) -> T:
        try:
            async with asyncio.timeout(PATIENCE):
                return await awaitable
        except TimeoutError:
            raise AssertionError(f"waited {PATIENCE} s for {what}") from None

    # What the Web API does to the workspace

    def posted(self, post: Post) -> None:
        self.view.statuses.pop(post.thread_ts or "", None)
        self.posts.append(post)
        self._new_posts.put_nowait(post)

    def notified(self, text: str, *, markdown: bool = False, linked: bool = False) -> None:
        """The app says something.

        Args:
            text: What.
            markdown: Whether it is Markdown that Slack renders.
            linked: Whether Slack was told to look for names in it.
        """
        self.pinged += chat.pings(text, plain=markdown or linked)

    def opened(self, view: dict[str, Any]) -> None:
        self.views.append(view)
        self._new_views.put_nowait(view)

    def new_file(self, name: str, length: int) -> File:
        file = File(f"F{len(self.files) + 1:08d}", name, length)
        self.files[file.id] = file
        return file

    def change(self, channel: Channel, message: Message, text: str) -> None:
        before = dict(message)
        message["text"] = text
        message["edited"] = {"user": message["user"], "ts": self.workspace.now()}
        self.news.changed(channel, before, message)

    def remove(self, channel: Channel, message: Message) -> None:
        if not message.get("reply_count"):
            channel.messages.remove(message)
            self.news.deleted(channel, message)
            return
        before = dict(message)
        message |= {"subtype": "tombstone", "text": "This message was deleted.", "user": "USLACKBOT"}
        self.news.changed(channel, before, message)  # the thread under it stays

    def need_scope(self, *scopes: str, token: str = "bot") -> None:
        provided = self.scopes[token]
        if scopes and provided.isdisjoint(scopes):
            raise Refused("missing_scope", needed=",".join(sorted(scopes)), provided=",".join(sorted(provided)))

    # The server

    async def _link(self, request: web.Request) -> web.StreamResponse:
        await self._reached("link")
        fault = self._faults.take("link")
        if fault is not None and fault.until is not None:
            await fault.until.wait()
        elif fault is not None:
            self.sockets.spend(request.query.get("ticket", ""))
            return await self._go_wrong(fault, request)
        return await self.sockets.serve(request)

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        await self._reached("upload")
        fault = self._faults.take("upload")
        return await files.receive(self, request) if fault is None else await self._go_wrong(fault, request)

    async def _download(self, request: web.Request) -> web.StreamResponse:
        await self._reached("download")
        fault = self._faults.take("download")
        return await files.serve(self, request) if fault is None else await self._go_wrong(fault, request)

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        await self._reached("respond")
        fault = self._faults.take("respond")
        if fault is not None and fault.until is not None:
            await fault.until.wait()
        elif fault is not None:
            return await self._go_wrong(fault, request)
        return await orders.responded(self, request)

    async def _reached(self, what: str) -> None:
        self.reached.add(what)
        await self.changed()

    async def changed(self) -> None:
        """Something is not what it was."""
        async with self.sockets.changed:
            self.sockets.changed.notify_all()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        call = await Call.read(request)
        there = self.installs.given.get(call.token)
        if there is not None and there is not self:
            return await there.answer(call, request)
        return await self.answer(call, request)

    async def answer(self, call: Call, request: web.Request) -> web.StreamResponse:
        """Answer a call that was made with a token of this workspace's."""
        self.calls.append(call)
        await self._reached(call.method)
        fault = self._faults.take(call.method)
        if fault is None:
            return await self._do(call)
        if fault.until is not None:
            await fault.until.wait()
            return await self._do(call)
        if fault.after:
            await self._do(call)
        return await self._go_wrong(fault, request)

    async def _do(self, call: Call) -> web.StreamResponse:
        headers: dict[str, str] = {}
        try:
            found = METHODS.get(call.method)
            if found is None:
                raise Refused("unknown_method", req_method=call.method)
            self._admit(call, found)
            headers["x-oauth-scopes"] = ",".join(sorted(self.scopes.get(found.token, ())))
            answer = {"ok": True, **await found.answer(self, call)}
        except Refused as refusal:
            answer = refusal.answer
        await self.changed()
        return web.json_response(answer, headers=headers)

    def _admit(self, call: Call, found: Method) -> None:
        if found.token == "none":
            return
        given = {token: "bot" for token, slack in self.installs.given.items() if slack is self}
        tokens = {self.bot_token: "bot", self.app_token: "app", **given}
        if call.token in self.installs.void:
            raise Refused(self.installs.void[call.token])
        if not call.token:
            raise Refused("not_authed")
        if call.token not in tokens:
            raise Refused("invalid_auth")
        if tokens[call.token] != found.token:
            raise Refused("not_allowed_token_type")
        self.need_scope(*found.scopes, token=found.token)

    async def _go_wrong(self, fault: Fault, request: web.Request) -> web.StreamResponse:
        if fault.status is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if isinstance(fault.body, dict):
            return web.json_response(fault.body, status=fault.status, headers=fault.headers)
        return web.Response(text=fault.body, status=fault.status, headers=fault.headers, content_type="text/html")
