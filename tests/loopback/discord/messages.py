"""The part of the API that messages are about, with their files and reactions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from aiohttp import web

from tests.loopback.discord import components, payloads, uploads
from tests.loopback.discord.bodies import Payload, Route, answer, content_of, nothing
from tests.loopback.discord.paths import Paths
from tests.loopback.discord.refusal import (
    EMPTY_MESSAGE,
    MISSING_PERMISSIONS,
    NO_REPLY_WITHOUT_HISTORY,
    THREAD_ARCHIVED,
    ApiError,
    invalid,
)
from tests.loopback.discord.world import Message

if TYPE_CHECKING:
    from tests.loopback.discord.server import FakeDiscord

MAX_NONCE = 25


class Messages:
    """Routes over one fake Discord."""

    def __init__(self, discord: FakeDiscord) -> None:
        self._discord = discord
        self._paths = Paths(discord)

    def routes(self) -> Iterator[Route]:
        message = "/channels/{channel}/messages/{message}"
        yield "GET", "/channels/{channel}/messages", self._history
        yield "POST", "/channels/{channel}/messages", self._post
        yield "GET", message, self._message
        yield "PATCH", message, self._edit
        yield "DELETE", message, self._delete
        yield "GET", f"{message}/reactions/{{emoji}}", self._who_reacted
        yield "PUT", f"{message}/reactions/{{emoji}}/@me", self._react
        yield "DELETE", f"{message}/reactions/{{emoji}}/@me", self._unreact

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

    async def _history(self, request: web.Request) -> web.Response:
        channel = self._paths.channel(request)
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
        channel = self._paths.channel(request)
        self._paths.must_be_able_to_write(channel)
        body, files = await uploads.read(request, self._discord.file_limit)
        self._paths.must_be_able_to_attach(channel, files)
        content = content_of(body)
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
        return answer(self._discord.seen(self._paths.message(request)))

    async def _edit(self, request: web.Request) -> web.Response:
        message = self._paths.message(request)
        if message.author is not self._discord.bot:
            raise ApiError(403, 50005, "Cannot edit a message authored by another user")
        if message.channel.archived:
            raise ApiError(*THREAD_ARCHIVED)
        body, files = await uploads.read(request, self._discord.file_limit)
        self._paths.must_be_able_to_attach(message.channel, files)
        content = content_of(body) if "content" in body else message.content
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
        message = self._paths.message(request)
        if message.author is not self._discord.bot and message.channel.denies("manage_messages"):
            raise ApiError(*MISSING_PERMISSIONS)
        await self._discord.delete(message)
        return nothing()

    async def _who_reacted(self, request: web.Request) -> web.Response:
        users = self._paths.message(request).reactions.get(request.match_info["emoji"], set())
        return answer([payloads.user(self._discord.people[one]) for one in sorted(users)])

    async def _react(self, request: web.Request) -> web.Response:
        message = self._paths.message(request)
        if message.channel.denies("add_reactions"):
            raise ApiError(*MISSING_PERMISSIONS)
        await self._discord.react(message, self._discord.bot, request.match_info["emoji"])
        return nothing()

    async def _unreact(self, request: web.Request) -> web.Response:
        message = self._paths.message(request)
        await self._discord.unreact(message, self._discord.bot, request.match_info["emoji"])
        return nothing()
