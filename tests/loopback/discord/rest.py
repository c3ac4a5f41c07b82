"""The HTTP side of the fake Discord: API v10, with Discord's own refusals."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.loopback.discord import payloads
from tests.loopback.discord.network import GATEWAY
from tests.loopback.discord.world import Channel, ChannelType, Message

if TYPE_CHECKING:
    from tests.loopback.discord.server import FakeDiscord

Payload = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PREFIX = "/api/v10"
MAX_CONTENT = 2000
MAX_THREAD_NAME = 100
MAX_NONCE = 25


class ApiError(Exception):
    """An error as Discord words it."""

    def __init__(self, status: int, code: int, message: str, errors: Payload | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"message": message, "code": code} | ({} if errors is None else {"errors": errors})


UNAUTHORIZED = (401, 0, "401: Unauthorized")
UNKNOWN_CHANNEL = (404, 10003, "Unknown Channel")
UNKNOWN_MESSAGE = (404, 10008, "Unknown Message")
MISSING_ACCESS = (403, 50001, "Missing Access")
EMPTY_MESSAGE = (400, 50006, "Cannot send an empty message")
CLOSED_DMS = (403, 50007, "Cannot send messages to this user")
MISSING_PERMISSIONS = (403, 50013, "Missing Permissions")
WRONG_CHANNEL_TYPE = (400, 50024, "Cannot execute action on this channel type")
THREAD_EXISTS = (400, 160004, "A thread has already been created for this message")


def invalid(field: str, code: str, message: str) -> ApiError:
    """Error 50035: a field of the body is wrong."""
    return ApiError(400, 50035, "Invalid Form Body", {field: {"_errors": [{"code": code, "message": message}]}})


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
            ("GET", "/guilds/{guild}", self._guild),
            ("GET", "/channels/{channel}", self._channel),
            ("PATCH", "/channels/{channel}", self._edit_channel),
            ("POST", "/channels/{channel}/typing", self._typing),
            ("GET", "/channels/{channel}/messages", self._history),
            ("POST", "/channels/{channel}/messages", self._post),
            ("GET", message, self._message),
            ("PATCH", message, self._edit),
            ("DELETE", message, self._delete),
            ("POST", f"{message}/threads", self._start_thread),
            ("PUT", "/channels/{channel}/thread-members/@me", self._join_thread),
            ("DELETE", "/channels/{channel}/thread-members/@me", self._leave_thread),
            ("GET", f"{message}/reactions/{{emoji}}", self._who_reacted),
            ("PUT", f"{message}/reactions/{{emoji}}/@me", self._react),
            ("DELETE", f"{message}/reactions/{{emoji}}/@me", self._unreact),
        ):
            application.router.add_route(method, PREFIX + path, handler)
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
            if request.headers.get("Authorization") != f"Bot {discord.token}":
                raise ApiError(*UNAUTHORIZED)
            if fault is None:
                return await handler(request)
            if fault.when == "after":
                await handler(request)
        except ApiError as error:
            return answer(error.body, status=error.status)
        finally:
            discord.requests.append((request.method, path))
            discord.changed()
        if fault.status is None:
            if request.transport is not None:
                request.transport.abort()
            return nothing()
        if isinstance(fault.body, str):
            return web.Response(
                text=fault.body, status=fault.status, content_type="text/html", headers=dict(fault.headers)
            )
        return answer(fault.body, status=fault.status, headers=dict(fault.headers))

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
            }
        )

    async def _gateway(self, _: web.Request) -> web.Response:
        limit = {"total": 1000, "remaining": 999, "reset_after": 0, "max_concurrency": 1}
        return answer({"url": f"wss://{GATEWAY}", "shards": 1, "session_start_limit": limit})

    # channels

    async def _open_dm(self, request: web.Request) -> web.Response:
        recipient = self._discord.people.get(int((await request.json())["recipient_id"]))
        if recipient is None:
            raise invalid("recipient_id", "INVALID_RECIPIENT", "Unknown user")
        return self._channel_body(self._discord.dm(recipient))

    async def _guild(self, request: web.Request) -> web.Response:
        guild = self._discord.guilds.get(int(request.match_info["guild"]))
        if guild is None:
            raise ApiError(404, 10004, "Unknown Guild")
        return answer(payloads.guild(guild, me=self._discord.bot))

    async def _channel(self, request: web.Request) -> web.Response:
        return self._channel_body(self._find_channel(request))

    async def _edit_channel(self, request: web.Request) -> web.Response:
        channel = self._find_channel(request)
        if channel.denies("manage_threads") and channel.owner is not self._discord.bot:
            raise ApiError(*MISSING_PERMISSIONS)
        changes = await request.json()
        channel.name = changes.get("name", channel.name)
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
        found = sorted((one for one in channel.messages if after < one < before), reverse="after" not in request.query)
        return answer([self._discord.seen(channel.messages[one]) for one in sorted(found[:limit], reverse=True)])

    async def _post(self, request: web.Request) -> web.Response:
        channel = self._find_channel(request)
        self._must_be_able_to_write(channel)
        body = await request.json()
        content = _content(body)
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
        )
        if (reference := body.get("message_reference")) is not None:
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
        body = await request.json()
        message.content = _content(body)
        message.allowed_mentions = body.get("allowed_mentions")
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
        name = (await request.json()).get("name") or ""
        if not 1 <= len(name) <= MAX_THREAD_NAME:
            raise invalid("name", "BASE_TYPE_BAD_LENGTH", f"Must be between 1 and {MAX_THREAD_NAME} in length.")
        thread = await self._discord.open_thread(message, name, self._discord.bot)
        return self._channel_body(thread, status=201)

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

    # reactions

    async def _who_reacted(self, request: web.Request) -> web.Response:
        users = self._find_message(request).reactions.get(request.match_info["emoji"], set())
        return answer([payloads.user(self._discord.people[one]) for one in sorted(users)])

    async def _react(self, request: web.Request) -> web.Response:
        message = self._find_message(request)
        if message.channel.denies("add_reactions"):
            raise ApiError(*MISSING_PERMISSIONS)
        message.reactions.setdefault(request.match_info["emoji"], set()).add(self._discord.bot.id)
        return nothing()

    async def _unreact(self, request: web.Request) -> web.Response:
        message = self._find_message(request)
        emoji = request.match_info["emoji"]
        users = message.reactions.get(emoji, set())
        users.discard(self._discord.bot.id)
        if not users:
            message.reactions.pop(emoji, None)
        return nothing()

    # what a path names

    def _find_channel(self, request: web.Request) -> Channel:
        channel = self._discord.channels.get(int(request.match_info["channel"]))
        if channel is None:
            raise ApiError(*UNKNOWN_CHANNEL)
        if channel.denies("view_channel"):
            raise ApiError(*MISSING_ACCESS)
        return channel

    def _find_message(self, request: web.Request) -> Message:
        message = self._find_channel(request).messages.get(int(request.match_info["message"]))
        if message is None:
            raise ApiError(*UNKNOWN_MESSAGE)
        return message

    def _must_be_able_to_write(self, channel: Channel) -> None:
        if channel.recipient is not None and not channel.recipient.accepts_dms:
            raise ApiError(*CLOSED_DMS)
        if channel.denies("send_messages_in_threads" if channel.is_thread else "send_messages"):
            raise ApiError(*MISSING_PERMISSIONS)

    def _channel_body(self, channel: Channel, *, status: int = 200) -> web.Response:
        return answer(payloads.channel(channel, me=self._discord.bot.id), status=status)


def _content(body: Payload) -> str:
    content = body.get("content") or ""
    if len(content) > MAX_CONTENT:
        raise invalid("content", "BASE_TYPE_MAX_LENGTH", f"Must be {MAX_CONTENT} or fewer in length.")
    if not content.strip():
        raise ApiError(*EMPTY_MESSAGE)
    return str(content).strip()
