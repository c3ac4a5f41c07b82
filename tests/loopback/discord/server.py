"""A Discord on 127.0.0.1 that the real discord.py connects to."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import aiohttp
from aiohttp import web

from tests.loopback.discord import payloads
from tests.loopback.discord.buckets import Buckets
from tests.loopback.discord.commands import ATTACHMENT, ON_MESSAGE, STRING, CommandLists
from tests.loopback.discord.faults import Fault, Faults, When
from tests.loopback.discord.gateway import Gateway
from tests.loopback.discord.interactions import Interaction, Kind
from tests.loopback.discord.network import RESUME_GATEWAY, Certificates, LoopbackResolver
from tests.loopback.discord.rest import Rest
from tests.loopback.discord.sessions import PRIVILEGED, Intent, Session
from tests.loopback.discord.snowflakes import Snowflakes
from tests.loopback.discord.uploads import MAX_FILE_BYTES, Cdn
from tests.loopback.discord.world import FORUMS, THREAD_STARTER, Channel, ChannelType, Guild, Message, Role, User

Payload = dict[str, Any]

PATIENCE = 20.0
"""Seconds that a test waits for what must happen."""

MESSAGE_CONTENT_SWITCH = 1 << 19
"""Application flag: the Message Content intent is switched on in the developer portal (bot in under 100 servers)."""


class FakeDiscord:
    """A whole Discord: a world of people and channels, the API and the gateway.

    >>> async with FakeDiscord() as discord:                                          # doctest: +SKIP
    ...     client = discord_py.Client(intents=..., connector=discord.connector())
    ...     ...
    ...     ada = discord.person("Ada")
    ...     await discord.say(discord.dm(ada), ada, "hello")
    ...     post = await discord.next_post()

    Args:
        message_content: Whether the portal's Message Content switch is on.
    """

    def __init__(self, *, message_content: bool = True) -> None:
        self.token = "loopback.not-a-secret.token"
        self.message_content = message_content
        self.snowflakes = Snowflakes()
        self.faults = Faults()
        self.buckets = Buckets()
        self.people: dict[int, User] = {}
        self.guilds: dict[int, Guild] = {}
        self.channels: dict[int, Channel] = {}
        self.owner = self.person("Owner")
        self.bot = self.person("Helper", bot=True)
        self.interactions: dict[int, Interaction] = {}
        self.endpoint: str | None = None  # where interactions are sent instead of to the client
        self.commands = CommandLists(self.bot.id, self.snowflakes.next)
        self.clock = 0.0  # seconds, for what is good for some of them only; a test moves it
        self.cdn = Cdn()
        self.file_limit = MAX_FILE_BYTES
        self.posts: list[Message] = []
        self.edits: list[Message] = []
        self.typings: list[Channel] = []
        self.requests: list[tuple[str, str]] = []
        self.gateway = Gateway(
            token=lambda: self.token,
            granted=lambda: PRIVILEGED if self.message_content else PRIVILEGED & ~Intent.MESSAGE_CONTENT,
            ready=self._ready,
            greet=self._greet,
            changed=self.changed,
        )
        self._certificates = Certificates()
        self._changed = asyncio.Event()
        self._next_post = 0
        self._runner: web.AppRunner | None = None
        self._port = 0

    async def __aenter__(self) -> Self:
        application = Rest(self).application()
        application.router.add_get("/", self.gateway.handle)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._certificates.server())
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.faults.over.set()
        await self.gateway.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def connector(self) -> aiohttp.TCPConnector:
        """A connector for the real client: Discord's host names are this server, no other name resolves."""
        return aiohttp.TCPConnector(resolver=self.resolver(), ssl=self.trust())

    def trust(self) -> ssl.SSLContext:
        """Trust in our certificates, and in no others."""
        return self._certificates.client()

    def resolver(self) -> LoopbackResolver:
        """The names alone, for a client that does not trust our certificates."""
        return LoopbackResolver(self._port)

    def certify(self, file: Path) -> None:
        """Write the authority behind our certificates to ``file``, for another process."""
        self._certificates.trusted_by(file)

    # the world

    def person(self, name: str, *, bot: bool = False) -> User:
        user = User(self.snowflakes.next(), name, bot)
        self.people[user.id] = user
        return user

    def guild(self, name: str = "Acme") -> Guild:
        """A server that the bot is in."""
        bot_role = Role(self.snowflakes.next(), self.bot.name, managed_by=self.bot)
        guild = Guild(self.snowflakes.next(), name, self.owner, bot_role)
        guild.roles += [Role(guild.id, "@everyone"), bot_role]
        self.guilds[guild.id] = guild
        return guild

    def role(self, guild: Guild, name: str) -> Role:
        role = Role(self.snowflakes.next(), name)
        guild.roles.append(role)
        return role

    def channel(self, guild: Guild, name: str = "general", type: ChannelType = ChannelType.TEXT) -> Channel:  # noqa: A002 - Discord's word
        channel = Channel(self.snowflakes.next(), type, name, guild)
        guild.channels.append(channel)
        self.channels[channel.id] = channel
        return channel

    def dm(self, user: User) -> Channel:
        """The DM between ``user`` and the bot."""
        for channel in self.channels.values():
            if channel.recipient is user:
                return channel
        channel = Channel(self.snowflakes.next(), ChannelType.DM, recipient=user)
        self.channels[channel.id] = channel
        return channel

    # what people do

    async def say(
        self,
        channel: Channel,
        author: User,
        text: str,
        *,
        reply_to: Message | None = None,
        type: int | None = None,  # noqa: A002 - Discord's word
        webhook: bool = False,
        attachments: tuple[Payload, ...] = (),
        files: Mapping[str, bytes] | None = None,
    ) -> Message:
        """``author`` writes ``text``; a mention is written as in Discord, ``f"{bot.mention} hi"``.

        ``files`` are uploaded with it, by their names; ``attachments`` are payloads of files that are nowhere.
        """
        message = Message(
            id=self.snowflakes.next(),
            channel=channel,
            author=author,
            content=text,
            type=type if type is not None else (0 if reply_to is None else 19),
            reply_to=reply_to,
            webhook_id=self.snowflakes.next() if webhook else None,
            attachments=list(attachments),
        )
        for name, data in (files or {}).items():
            self.attach(message, name, data)
        await self.publish(message)
        return message

    def attach(self, message: Message, name: str, data: bytes, media_type: str | None = None) -> None:
        """Upload a file to ``message``; the CDN serves it from now on."""
        message.files[name] = data
        message.attachments.append(self.cdn.put(message.channel.id, self.snowflakes.next(), name, data, media_type))

    async def edit(self, message: Message, text: str) -> None:
        """The author of ``message`` changes what it says."""
        message.content = text
        message.edited = self.snowflakes.next()
        await self.announce(message, "MESSAGE_UPDATE")

    async def unfold(self, message: Message, title: str = "A title") -> None:
        """Discord shows what a link in ``message`` leads to: an update in which nobody edited anything."""
        message.embeds = [{"type": "article", "title": title, "description": "words", "fields": []}]
        await self.announce(message, "MESSAGE_UPDATE")

    async def react(self, message: Message, user: User, emoji: str) -> None:
        """``user`` puts ``emoji`` under ``message``: ``"👍"``, or ``"name:id"`` of one that a server has made."""
        message.reactions.setdefault(emoji, set()).add(user.id)
        await self.announce_reaction(message, user, emoji, added=True)

    async def unreact(self, message: Message, user: User, emoji: str) -> None:
        """``user`` takes ``emoji`` away again."""
        users = message.reactions.get(emoji, set())
        users.discard(user.id)
        if not users:
            message.reactions.pop(emoji, None)
        await self.announce_reaction(message, user, emoji, added=False)

    async def announce_reaction(self, message: Message, user: User, emoji: str, *, added: bool) -> None:
        """Tell the client of a reaction; twice is what a resume may deliver."""
        payload = payloads.reaction(message, user, emoji, added=added)
        in_guild = message.channel.guild is not None
        intent = Intent.GUILD_MESSAGE_REACTIONS if in_guild else Intent.DIRECT_MESSAGE_REACTIONS
        event = "MESSAGE_REACTION_ADD" if added else "MESSAGE_REACTION_REMOVE"
        await self.gateway.dispatch(event, lambda session: payload if intent & session.intents else None)

    async def press(self, message: Message, user: User, label: str) -> Interaction:
        """``user`` presses the button with that label."""
        data = {"custom_id": message.buttons[label]["custom_id"], "component_type": 2, "id": 1}
        return await self._interact(Kind.COMPONENT, user, message.channel, data, message)

    async def submit(self, pressed: Interaction, text: str) -> Interaction:
        """Who pressed a button writes ``text`` into the window that was opened, and sends it off."""
        data = pressed.submitted(text)
        return await self._interact(Kind.MODAL_SUBMIT, pressed.user, pressed.channel, data, pressed.message)

    async def command(
        self, channel: Channel, user: User, name: str, text: str = "", *, file: tuple[str, bytes] | None = None
    ) -> Interaction:
        """``user`` gives a command that Discord offers in ``channel``, with what it takes."""
        offered = self.commands.find(name, None if channel.guild is None else channel.guild.id)
        data: Payload = {key: offered[key] for key in ("id", "name", "type", "guild_id") if key in offered}
        for option in offered.get("options", ()):
            if option["type"] == STRING and text:
                assert len(text) <= option.get("max_length", 6000)
                data.setdefault("options", []).append({"type": STRING, "name": option["name"], "value": text})
            elif option["type"] == ATTACHMENT and file is not None:
                attachment = self.cdn.put(channel.id, self.snowflakes.next(), *file, None)
                data["resolved"] = {"attachments": {attachment["id"]: attachment}}
                given = {"type": ATTACHMENT, "name": option["name"], "value": attachment["id"]}
                data.setdefault("options", []).append(given)
            else:
                assert not option.get("required"), f"/{name} needs {option['name']}"
        return await self._interact(Kind.COMMAND, user, channel, data)

    async def choose(self, message: Message, user: User, name: str) -> Interaction:
        """``user`` chooses a command from the menu of ``message``."""
        channel = message.channel
        offered = self.commands.find(name, None if channel.guild is None else channel.guild.id, ON_MESSAGE)
        data: Payload = {key: offered[key] for key in ("id", "name", "type", "guild_id") if key in offered}
        resolved = {"messages": {str(message.id): self.seen(message)}}
        return await self._interact(
            Kind.COMMAND, user, channel, {**data, "target_id": str(message.id), "resolved": resolved}
        )

    async def _interact(
        self, kind: Kind, user: User, channel: Channel, data: Payload, message: Message | None = None
    ) -> Interaction:
        number = self.snowflakes.next()
        interaction = Interaction(number, f"interaction-token-{number}", kind, user, channel, data, self.clock, message)
        self.interactions[interaction.id] = interaction
        await self.announce_interaction(interaction)
        return interaction

    async def announce_interaction(self, interaction: Interaction) -> None:
        """Tell the client of ``interaction``; twice is what a resume may deliver."""
        if self.endpoint is not None:
            return
        message = None if interaction.message is None else self.seen(interaction.message)
        payload = interaction.payload(message, bot=self.bot)
        await self.gateway.dispatch("INTERACTION_CREATE", lambda _: payload)

    async def publish(self, message: Message) -> None:
        message.channel.messages[message.id] = message
        await self.announce(message, "MESSAGE_CREATE")

    async def announce(self, message: Message, event: str) -> None:
        """Tell the client of ``message``; a second MESSAGE_CREATE is what a resume may deliver."""
        await self.deliver(self.seen(message), event)

    async def deliver(self, payload: Payload, event: str = "MESSAGE_CREATE") -> None:
        """Send a message payload as it is, less what the client's intents keep from it."""
        await self.gateway.dispatch(event, lambda session: self._visible(session, payload))

    async def delete(self, message: Message) -> None:
        del message.channel.messages[message.id]
        body: Payload = {"id": str(message.id), "channel_id": str(message.channel.id)}
        if message.channel.guild is not None:
            body["guild_id"] = str(message.channel.guild.id)
        await self.deliver(body, "MESSAGE_DELETE")

    async def delete_many(self, *messages: Message) -> None:
        """A moderator deletes messages of one channel at once."""
        channel = messages[0].channel
        for message in messages:
            del channel.messages[message.id]
        body: Payload = {"ids": [str(message.id) for message in messages], "channel_id": str(channel.id)}
        if channel.guild is not None:
            body["guild_id"] = str(channel.guild.id)
        await self.deliver(body, "MESSAGE_DELETE_BULK")

    async def open_thread(self, message: Message, name: str, owner: User) -> Channel:
        """A thread started from ``message``: it has the message's id."""
        parent = message.channel
        kind = ChannelType.NEWS_THREAD if parent.type is ChannelType.NEWS else ChannelType.PUBLIC_THREAD
        thread = Channel(message.id, kind, name, parent.guild, parent=parent, owner=owner, members={owner.id})
        message.thread = thread
        if parent.guild is not None:
            parent.guild.channels.append(thread)
        self.channels[thread.id] = thread
        if parent.type not in FORUMS:
            starter = Message(self.snowflakes.next(), thread, owner, "", THREAD_STARTER)
            starter.reply_to, starter.pings_replied = message, False
            thread.messages[starter.id] = starter
        await self.announce_thread("THREAD_CREATE", thread, newly_created=True)
        return thread

    async def announce_thread(self, event: str, thread: Channel, **extra: object) -> None:
        payload = payloads.channel(thread, me=self.bot.id) | extra
        if event == "THREAD_UPDATE":
            payload.pop("member", None)  # Discord leaves the bot's membership out of updates
        await self.gateway.dispatch(event, lambda session: payload if Intent.GUILDS & session.intents else None)

    async def announce_channel(self, event: str, channel: Channel) -> None:
        payload = payloads.channel(channel, me=self.bot.id)
        await self.gateway.dispatch(event, lambda session: payload if Intent.GUILDS & session.intents else None)

    async def post(self, forum: Channel, author: User, title: str, text: str) -> Channel:
        """``author`` posts in a forum or media channel; the post's thread. Its first message has its id, and stands in
        it."""
        message = Message(self.snowflakes.next(), forum, author, text)
        thread = await self.open_thread(message, title, author)
        message.channel = thread
        await self.publish(message)
        return thread

    async def deny(self, channel: Channel, *permissions: str) -> None:
        """Somebody takes permissions from the bot in ``channel``, in Discord's own spelling (``"send_messages"``)."""
        channel.denied |= set(permissions)
        await self.announce_channel("CHANNEL_UPDATE", channel)

    async def allow(self, channel: Channel, *permissions: str) -> None:
        """Somebody gives the bot these permissions in ``channel``."""
        channel.denied -= set(permissions)
        await self.announce_channel("CHANNEL_UPDATE", channel)

    async def remove(self, channel: Channel) -> None:
        """Somebody deletes a channel or thread, with the threads beneath it."""
        assert channel.guild is not None
        gone = [channel, *(each for each in channel.guild.channels if each.parent is channel)]
        for each in gone:
            del self.channels[each.id]
            channel.guild.channels.remove(each)
        if channel.is_thread:
            await self.announce_thread("THREAD_DELETE", channel)
        else:
            await self.announce_channel("CHANNEL_DELETE", channel)

    async def kick(self, guild: Guild) -> None:
        """Somebody throws the bot out of ``guild``."""
        guild.has_bot = False
        payload = {"id": str(guild.id)}
        await self.gateway.dispatch(
            "GUILD_DELETE", lambda session: payload if Intent.GUILDS & session.intents else None
        )

    async def announce_role(self, guild: Guild, role: Role) -> None:
        payload = {"guild_id": str(guild.id), "role": payloads.role(role)}
        await self.gateway.dispatch(
            "GUILD_ROLE_CREATE", lambda session: payload if Intent.GUILDS & session.intents else None
        )

    async def announce_members(self, thread: Channel, *, joined: bool) -> None:
        assert thread.guild is not None
        payload: Payload = {
            "id": str(thread.id),
            "guild_id": str(thread.guild.id),
            "member_count": len(thread.members),
        }
        if joined:
            payload["added_members"] = [payloads.thread_member(thread, self.bot.id)]
        else:
            payload["removed_member_ids"] = [str(self.bot.id)]
        await self.gateway.dispatch(
            "THREAD_MEMBERS_UPDATE", lambda session: payload if Intent.GUILDS & session.intents else None
        )

    # what goes wrong

    def refuse(
        self, method: str, path: str, status: int, body: Payload | str = "", *, when: When = "before", times: int = 1
    ) -> None:
        """Answer the next ``times`` requests like ``path`` with an error."""
        self.faults.add(Fault(method, path, status, body, when=when, times=times))

    def limit(self, method: str, path: str, *, retry_after: float, times: int = 1, everywhere: bool = False) -> None:
        """Answer the next ``times`` requests like ``path`` with 429; ``retry_after`` in seconds.

        ``everywhere`` says that it is the limit of all requests together.
        """
        body = {"message": "You are being rate limited.", "retry_after": retry_after, "global": everywhere}
        headers = {"Via": "1.1 google", "Retry-After": str(retry_after)}
        headers |= {"X-RateLimit-Global": "true", "X-RateLimit-Scope": "global"} if everywhere else {}
        self.faults.add(Fault(method, path, 429, body, headers, times=times))

    def cut(self, method: str, path: str, *, when: When = "before", times: int = 1) -> None:
        """Cut the connection of the next ``times`` requests like ``path``."""
        self.faults.add(Fault(method, path, None, when=when, times=times))

    # what the bot did

    def changed(self) -> None:
        """Wake everybody who waits for a condition."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until ``condition()`` holds; it is looked at after every request and gateway frame.

        Raises:
            TimeoutError: It did not hold within ``PATIENCE`` seconds.
        """
        async with asyncio.timeout(PATIENCE):
            while not condition():
                await self._changed.wait()

    async def connected(self) -> None:
        """Wait until a client has identified or resumed."""
        await self.until(lambda: self.gateway.live)

    async def next_post(self) -> Message:
        """The bot's next message that has not been asked for yet."""
        await self.until(lambda: len(self.posts) > self._next_post)
        self._next_post += 1
        return self.posts[self._next_post - 1]

    def requested(self, method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"], ending: str) -> int:
        """How many requests of ``method`` came for a path that ends so."""
        return sum(one == method and path.endswith(ending) for one, path in self.requests)

    # how the client sees it

    @property
    def application_flags(self) -> int:
        return MESSAGE_CONTENT_SWITCH if self.message_content else 0

    def seen(self, message: Message) -> Payload:
        return payloads.message(message, self.people, me=self.bot.id)

    def _ready(self, session: Session) -> Payload:
        return {
            "v": 10,
            "user": {**payloads.user(self.bot), "mfa_enabled": False, "verified": True, "email": None, "flags": 0},
            "guilds": [{"id": str(guild.id), "unavailable": True} for guild in self._guilds_of(session)],
            "session_id": session.id,
            "shard": list(session.shard),
            "session_type": "normal",
            "resume_gateway_url": f"wss://{RESUME_GATEWAY}",
            "private_channels": [],
            "relationships": [],
            "presences": [],
            "application": {"id": str(self.bot.id), "flags": self.application_flags},
        }

    def _greet(self, session: Session) -> list[tuple[str, Payload]]:
        if not session.intents & Intent.GUILDS:
            return []
        return [("GUILD_CREATE", payloads.guild(guild, me=self.bot)) for guild in self._guilds_of(session)]

    def _guilds_of(self, session: Session) -> list[Guild]:
        """The servers that the bot is in, as far as this session is told of them."""
        return [guild for guild in self.guilds.values() if guild.has_bot and session.is_told_of(guild.id)]

    def _visible(self, session: Session, payload: Payload) -> Payload | None:
        in_guild = "guild_id" in payload
        if not session.intents & (Intent.GUILD_MESSAGES if in_guild else Intent.DIRECT_MESSAGES):
            return None
        if "content" not in payload or not in_guild or session.intents & Intent.MESSAGE_CONTENT:
            return payload
        me = str(self.bot.id)
        meant = payload["author"]["id"] == me or any(one["id"] == me for one in payload["mentions"])
        return payload if meant else payloads.without_content(payload)
