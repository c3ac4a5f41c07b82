"""The HTTP side of the fake Discord: API v10, with Discord's own refusals."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.loopback.discord import components, payloads, uploads
from tests.loopback.discord.application import Application
from tests.loopback.discord.network import CDN, GATEWAY, MEDIA
from tests.loopback.discord.refusal import (
    CLOSED_DMS,
    EMPTY_MESSAGE,
    FORUM_CHANNEL,
    MISSING_ACCESS,
    MISSING_PERMISSIONS,
    NO_REPLY_WITHOUT_HISTORY,
    TAG_NEEDED,
    THREAD_ARCHIVED,
    THREAD_EXISTS,
    THREAD_LOCKED,
    UNAUTHORIZED,
    UNKNOWN_CHANNEL,
    UNKNOWN_MESSAGE,
    WRONG_CHANNEL_TYPE,
    ApiError,
    invalid,
)
from tests.loopback.discord.world import FORUMS, Channel, ChannelType, Guild, Message

if TYPE_CHECKING:
    from tests.loopback.discord.server import FakeDiscord

Payload = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PREFIX = "/api/v10"
MAX_CONTENT = 2000
MAX_THREAD_NAME = 100
MAX_NONCE = 25


def answer(body: object, *, status: int = 200, headers: Payload | None = None) -> web.Response:
    # web.json_response adds a charset; Discord does not, and discord.py parses "application/json" alone.
    return web.Response(body=json.dumps(body).encode(), status=status, content_type="application/json", headers=headers)


def nothing() -> web.Response:
    return web.Response(status=204)


class Rest:
    """Routes of the API over one fake Discord."""

    def __init__(self, discord: FakeDiscord) -> None:
        self._discord = discord

    def application(self) -> web.Application:
        application = web.Application(middlewares=[self._gate])
        message = "/channels/{channel}/messages/{message}"
        for method, path, handler in (
            ("GET", "/users/@me", self._me),
            ("GET", "/oauth2/applications/@me", self._application),
            ("GET", "/gateway/bot", self._gateway),
            ("POST", "/users/@me/channels", self._open_dm),
            ("GET", "/users/@me/guilds", self._guilds),
            ("GET", "/guilds/{guild}", self._guild),
            ("GET", "/guilds/{guild}/channels", self._channels),
            ("GET", "/guilds/{guild}/members/{user}", self._member),
            ("GET", "/channels/{channel}", self._channel),
            ("PATCH", "/channels/{channel}", self._edit_channel),
            ("POST", "/channels/{channel}/typing", self._typing),
            ("GET", "/channels/{channel}/messages", self._history),
            ("POST", "/channels/{channel}/messages", self._post),
            ("GET", message, self._message),
            ("PATCH", message, self._edit),
            ("DELETE", message, self._delete),
            ("POST", f"{message}/threads", self._start_thread),
            ("POST", "/channels/{channel}/threads", self._start_post),
            ("GET", "/channels/{channel}/thread-members/{user}", self._thread_member),
            ("PUT", "/channels/{channel}/thread-members/@me", self._join_thread),
            ("DELETE", "/channels/{channel}/thread-members/@me", self._leave_thread),
            ("GET", f"{message}/reactions/{{emoji}}", self._who_reacted),
            ("PUT", f"{message}/reactions/{{emoji}}/@me", self._react),
            ("DELETE", f"{message}/reactions/{{emoji}}/@me", self._unreact),
            *Application(self._discord, self).routes(),
        ):
            application.router.add_route(method, PREFIX + path, handler)
        application.router.add_get("/attachments/{path:.*}", self._attachment)
        return application

    @web.middleware
    async def _gate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """What stands before and after every route: the token, the faults, the log of requests."""
        if not request.path.startswith(PREFIX):
            return await handler(request)
        discord = self._discord
        path = request.path.removeprefix(PREFIX)
        fault = discord.faults.take(request.method, path)
        try:
            # An interaction is answered with its own token.
            by_token = path.startswith(("/interactions/", "/webhooks/"))
            known = by_token or request.headers.get("Authorization") == f"Bot {discord.token}"
            if not known:
                raise ApiError(*UNAUTHORIZED)
            if fault is None:
                return await discord.buckets.answered(request, path, handler)
            if fault.when == "after":
                await handler(request)
        except ApiError as error:
            return answer(error.body, status=error.status)
        finally:
            discord.requests.append((request.method, path))
            discord.changed()
        if fault.status == 0:
            await discord.faults.over.wait()
        if not fault.status:
            if request.transport is not None:
                request.transport.abort()
            return nothing()
        if isinstance(fault.body, str):
            return web.Response(
                text=fault.body, status=fault.status, content_type="text/html", headers=dict(fault.headers)
            )
        return answer(fault.body, status=fault.status, headers=dict(fault.headers))

    def answer(self, body: object, *, status: int = 200) -> web.Response:
        """Say ``body``."""
        return answer(body, status=status)

    def content(self, body: Payload) -> str:
        """The text of a message, if Discord would take it."""
        return _content(body)

    # who the bot is

    async def _me(self, _: web.Request) -> web.Response:
        return answer({**payloads.user(self._discord.bot), "mfa_enabled": False, "locale": "en-US", "verified": True})

    async def _application(self, _: web.Request) -> web.Response:
        bot = self._discord.bot
        return answer(
            {
                "id": str(bot.id),
                "name": bot.name,
                "icon": None,
                "description": "",
                "bot_public": False,
                "bot_require_code_grant": False,
                "verify_key": "0" * 64,
                "owner": payloads.user(self._discord.owner),
                "team": None,
                "flags": self._discord.application_flags,
                "interactions_endpoint_url": self._discord.endpoint,
            }
        )

    async def _gateway(self, _: web.Request) -> web.Response:
        gateway = self._discord.gateway
        return answer(
            {"url": f"wss://{GATEWAY}", "shards": gateway.shards, "session_start_limit": gateway.start_limit()}
        )

    # channels

    async def _open_dm(self, request: web.Request) -> web.Response:
        recipient = self._discord.people.get(int((await request.json())["recipient_id"]))
        if recipient is None:
            raise invalid("recipient_id", "INVALID_RECIPIENT", "Unknown user")
        return self._channel_body(self._discord.dm(recipient))

    async def _guilds(self, request: web.Request) -> web.Response:
        after, limit = int(request.query.get("after", 0)), int(request.query.get("limit", 200))
        there = [self._discord.guilds[one] for one in sorted(self._discord.guilds) if one > after]
        return answer([payloads.partial_guild(guild, me=self._discord.bot) for guild in there[:limit]])

    async def _guild(self, request: web.Request) -> web.Response:
        return answer(payloads.guild(self._find_guild(request), me=self._discord.bot))

    async def _channels(self, request: web.Request) -> web.Response:
        channels = [channel for channel in self._find_guild(request).channels if not channel.is_thread]
        return answer([payloads.channel(channel, me=self._discord.bot.id) for channel in channels])

    async def _member(self, request: web.Request) -> web.Response:
        user = self._discord.people.get(int(request.match_info["user"]))
        if user is None:
            raise ApiError(404, 10007, "Unknown Member")
        return answer(payloads.member(user, with_user=True))

    async def _channel(self, request: web.Request) -> web.Response:
        return self._channel_body(self._find_channel(request))

    async def _edit_channel(self, request: web.Request) -> web.Response:
        channel = self._find_channel(request)
        if channel.denies("manage_threads") and channel.owner is not self._discord.bot:
            raise ApiError(*MISSING_PERMISSIONS)
        changes = await request.json()
        if "name" in changes:
            channel.name = _thread_name(changes)
        channel.archived = changes.get("archived", channel.archived)
        await self._discord.announce_thread("THREAD_UPDATE", channel)
        return self._channel_body(channel)

    async def _typing(self, request: web.Request) -> web.Response:
        channel = self._find_channel(request)
        self._must_be_able_to_write(channel)
        self._discord.typings.append(channel)
        return nothing()

    # messages

    async def _history(self, request: web.Request) -> web.Response:
        channel = self._find_channel(request)
        if channel.denies("read_message_history"):
            return answer([])
        limit = int(request.query.get("limit", 50))
        if not 1 <= limit <= 100:
            raise invalid("limit", "NUMBER_TYPE_MAX", "int value should be between 1 and 100.")
        before = int(request.query.get("before", 1 << 63))
        after = int(request.query.get("after", 0))
        shown = [one for one, message in channel.messages.items() if message.private_to is None]
        found = sorted((one for one in shown if after < one < before), reverse="after" not in request.query)
        seen = (self._discord.seen(channel.messages[one]) for one in sorted(found[:limit], reverse=True))
        return answer([payloads.from_history(each) for each in seen])

    async def _post(self, request: web.Request) -> web.Response:
        channel = self._find_channel(request)
        self._must_be_able_to_write(channel)
        body, files = await uploads.read(request, self._discord.file_limit)
        self._must_be_able_to_attach(channel, files)
        content = _content(body)
        if not content and not files:
            raise ApiError(*EMPTY_MESSAGE)
        nonce = body.get("nonce")
        if nonce is not None and len(nonce) > MAX_NONCE:
            raise invalid("nonce", "NONCE_TYPE_TOO_LONG", f"Must be {MAX_NONCE} or fewer in length.")
        if nonce is not None and body.get("enforce_nonce"):
            for known in channel.messages.values():
                if known.author is self._discord.bot and known.nonce == nonce:
                    return answer(self._discord.seen(known))
        message = Message(
            id=self._discord.snowflakes.next(),
            channel=channel,
            author=self._discord.bot,
            content=content,
            flags=body.get("flags", 0),
            nonce=nonce,
            allowed_mentions=body.get("allowed_mentions"),
            components=components.checked(body.get("components") or []),
        )
        self.attach(message, body, files)
        channel.archived = False
        if channel.is_thread and self._discord.bot.id not in channel.members:
            channel.members.add(self._discord.bot.id)
            await self._discord.announce_members(channel, joined=True)
        if (reference := body.get("message_reference")) is not None:
            if channel.denies("read_message_history"):
                raise ApiError(*NO_REPLY_WITHOUT_HISTORY)
            message.reply_to = self._quoted(reference)
            message.type = 0 if message.reply_to is None else 19
            message.pings_replied = (message.allowed_mentions or {}).get("replied_user", True)
        await self._discord.publish(message)
        self._discord.posts.append(message)
        return answer(self._discord.seen(message))

    def _quoted(self, reference: Payload) -> Message | None:
        channel = self._discord.channels.get(int(reference["channel_id"]))
        message = None if channel is None else channel.messages.get(int(reference["message_id"]))
        if message is None and reference.get("fail_if_not_exists", True):
            raise invalid("message_reference", "REPLIES_UNKNOWN_MESSAGE", "Unknown message")
        return message

    async def _message(self, request: web.Request) -> web.Response:
        return answer(self._discord.seen(self._find_message(request)))

    async def _edit(self, request: web.Request) -> web.Response:
        message = self._find_message(request)
        if message.author is not self._discord.bot:
            raise ApiError(403, 50005, "Cannot edit a message authored by another user")
        if message.channel.archived:
            raise ApiError(*THREAD_ARCHIVED)
        body, files = await uploads.read(request, self._discord.file_limit)
        self._must_be_able_to_attach(message.channel, files)
        content = _content(body) if "content" in body else message.content
        if not content and not files and not message.attachments:
            raise ApiError(*EMPTY_MESSAGE)
        rows = components.checked(body["components"] or []) if "components" in body else message.components
        message.content, message.components = content, rows
        message.flags = body.get("flags", message.flags)
        message.allowed_mentions = body.get("allowed_mentions")
        self.attach(message, body, files)
        message.edited = self._discord.snowflakes.next()
        self._discord.edits.append(message)
        await self._discord.announce(message, "MESSAGE_UPDATE")
        return answer(self._discord.seen(message))

    async def _delete(self, request: web.Request) -> web.Response:
        message = self._find_message(request)
        if message.author is not self._discord.bot and message.channel.denies("manage_messages"):
            raise ApiError(*MISSING_PERMISSIONS)
        await self._discord.delete(message)
        return nothing()

    # threads

    async def _start_thread(self, request: web.Request) -> web.Response:
        message = self._find_message(request)
        channel = message.channel
        if channel.denies("create_public_threads"):
            raise ApiError(*MISSING_PERMISSIONS)
        if channel.type not in (ChannelType.TEXT, ChannelType.NEWS):
            raise ApiError(*WRONG_CHANNEL_TYPE)
        if message.thread is not None:
            raise ApiError(*THREAD_EXISTS)
        name = _thread_name(await request.json())
        thread = await self._discord.open_thread(message, name, self._discord.bot)
        return self._channel_body(thread, status=201)

    async def _start_post(self, request: web.Request) -> web.Response:
        """A thread in a forum: its first message has its id."""
        forum = self._find_channel(request)
        if forum.denies("send_messages"):
            raise ApiError(*MISSING_PERMISSIONS)
        if forum.type not in FORUMS:
            raise ApiError(*WRONG_CHANNEL_TYPE)
        body = await request.json()
        name, content = _thread_name(body), _content(body.get("message") or {})
        if not content:
            raise ApiError(*EMPTY_MESSAGE)
        tags = [int(tag) for tag in body.get("applied_tags") or ()]
        if forum.needs_tag and not tags:
            raise ApiError(*TAG_NEEDED)
        message = Message(self._discord.snowflakes.next(), forum, self._discord.bot, content)
        thread = await self._discord.open_thread(message, name, self._discord.bot)
        thread.tags = {tag: forum.tags[tag] for tag in tags}
        message.channel = thread
        await self._discord.publish(message)
        first = {"message": self._discord.seen(message)}
        return answer(payloads.channel(thread, me=self._discord.bot.id) | first, status=201)

    async def _thread_member(self, request: web.Request) -> web.Response:
        thread, user = self._find_channel(request), int(request.match_info["user"])
        if user not in thread.members:
            raise ApiError(404, 10007, "Unknown Member")
        return answer(payloads.thread_member(thread, user))

    async def _join_thread(self, request: web.Request) -> web.Response:
        thread = self._find_channel(request)
        thread.members.add(self._discord.bot.id)
        await self._discord.announce_members(thread, joined=True)
        return nothing()

    async def _leave_thread(self, request: web.Request) -> web.Response:
        thread = self._find_channel(request)
        thread.members.discard(self._discord.bot.id)
        await self._discord.announce_members(thread, joined=False)
        return nothing()

    # files

    async def _attachment(self, request: web.Request) -> web.Response:
        if request.host.partition(":")[0] not in (CDN, MEDIA):
            return web.Response(status=404)
        return await self._discord.cdn.serve(request)

    def attach(self, message: Message, body: Payload, files: uploads.Files) -> None:
        """Let ``message`` have the files that ``body`` names: those that it keeps, and new ones by their index."""
        if "attachments" not in body:
            return
        kept = {each["id"]: each for each in message.attachments}
        named = [str(each["id"]) for each in body["attachments"]]
        message.attachments = [kept[one] for one in named if one in kept]
        message.files = {each["filename"]: message.files[each["filename"]] for each in message.attachments}
        for one in named:
            if one not in kept:
                self._discord.attach(message, *files[int(one)])

    # reactions

    async def _who_reacted(self, request: web.Request) -> web.Response:
        users = self._find_message(request).reactions.get(request.match_info["emoji"], set())
        return answer([payloads.user(self._discord.people[one]) for one in sorted(users)])

    async def _react(self, request: web.Request) -> web.Response:
        message = self._find_message(request)
        if message.channel.denies("add_reactions"):
            raise ApiError(*MISSING_PERMISSIONS)
        await self._discord.react(message, self._discord.bot, request.match_info["emoji"])
        return nothing()

    async def _unreact(self, request: web.Request) -> web.Response:
        message = self._find_message(request)
        await self._discord.unreact(message, self._discord.bot, request.match_info["emoji"])
        return nothing()

    # what a path names

    def _find_guild(self, request: web.Request) -> Guild:
        guild = self._discord.guilds.get(int(request.match_info["guild"]))
        if guild is None:
            raise ApiError(404, 10004, "Unknown Guild")
        return guild

    def _find_channel(self, request: web.Request) -> Channel:
        channel = self._discord.channels.get(int(request.match_info["channel"]))
        if channel is None:
            raise ApiError(*UNKNOWN_CHANNEL)
        if channel.denies("view_channel") or not (channel.guild is None or channel.guild.has_bot):
            raise ApiError(*MISSING_ACCESS)
        return channel

    def _find_message(self, request: web.Request) -> Message:
        message = self._find_channel(request).messages.get(int(request.match_info["message"]))
        if message is None or message.private_to is not None:
            raise ApiError(*UNKNOWN_MESSAGE)
        return message

    def _must_be_able_to_write(self, channel: Channel) -> None:
        if channel.recipient is not None and not channel.recipient.accepts_dms:
            raise ApiError(*CLOSED_DMS)
        if channel.type in FORUMS:
            raise ApiError(*FORUM_CHANNEL)
        if channel.locked and channel.denies("manage_threads"):
            raise ApiError(*THREAD_LOCKED)
        if channel.denies("send_messages_in_threads" if channel.is_thread else "send_messages"):
            raise ApiError(*MISSING_PERMISSIONS)

    def _must_be_able_to_attach(self, channel: Channel, files: dict[int, tuple[str, bytes]]) -> None:
        if files and channel.denies("attach_files"):
            raise ApiError(*MISSING_PERMISSIONS)

    def _channel_body(self, channel: Channel, *, status: int = 200) -> web.Response:
        return answer(payloads.channel(channel, me=self._discord.bot.id), status=status)


def _thread_name(body: Payload) -> str:
    name = body.get("name")
    if name is None:
        raise invalid("name", "BASE_TYPE_REQUIRED", "This field is required")
    if not 1 <= len(name) <= MAX_THREAD_NAME:
        raise invalid("name", "BASE_TYPE_BAD_LENGTH", f"Must be between 1 and {MAX_THREAD_NAME} in length.")
    return str(name)


def _content(body: Payload) -> str:
    content = body.get("content") or ""
    if len(content) > MAX_CONTENT:
        raise invalid("content", "BASE_TYPE_MAX_LENGTH", f"Must be {MAX_CONTENT} or fewer in length.")
    return str(content).strip()
