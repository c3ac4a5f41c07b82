"""The part of the API that places are about: servers, channels, DMs and threads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from aiohttp import web

from tests.loopback.discord import payloads
from tests.loopback.discord.bodies import Route, answer, content_of, nothing, thread_name
from tests.loopback.discord.paths import Paths
from tests.loopback.discord.refusal import (
    EMPTY_MESSAGE,
    MISSING_PERMISSIONS,
    TAG_NEEDED,
    THREAD_EXISTS,
    WRONG_CHANNEL_TYPE,
    ApiError,
    invalid,
)
from tests.loopback.discord.world import FORUMS, Channel, ChannelType, Message

if TYPE_CHECKING:
    from tests.loopback.discord.server import FakeDiscord


class Places:
    """Routes over one fake Discord."""

    def __init__(self, discord: FakeDiscord) -> None:
        self._discord = discord
        self._paths = Paths(discord)

    def routes(self) -> Iterator[Route]:
        channel = "/channels/{channel}"
        yield "POST", "/users/@me/channels", self._open_dm
        yield "GET", "/users/@me/guilds", self._guilds
        yield "GET", "/guilds/{guild}", self._guild
        yield "GET", "/guilds/{guild}/channels", self._channels
        yield "GET", "/guilds/{guild}/members/{user}", self._member
        yield "GET", channel, self._channel
        yield "PATCH", channel, self._edit_channel
        yield "POST", f"{channel}/typing", self._typing
        yield "POST", f"{channel}/messages/{{message}}/threads", self._start_thread
        yield "POST", f"{channel}/threads", self._start_post
        yield "GET", f"{channel}/thread-members/{{user}}", self._thread_member
        yield "PUT", f"{channel}/thread-members/@me", self._join_thread
        yield "DELETE", f"{channel}/thread-members/@me", self._leave_thread

    async def _open_dm(self, request: web.Request) -> web.Response:
        recipient = self._discord.people.get(int((await request.json())["recipient_id"]))
        if recipient is None:
            raise invalid("recipient_id", "INVALID_RECIPIENT", "Unknown user")
        return self._said(self._discord.dm(recipient))

    async def _guilds(self, request: web.Request) -> web.Response:
        after, limit = int(request.query.get("after", 0)), int(request.query.get("limit", 200))
        there = [self._discord.guilds[one] for one in sorted(self._discord.guilds) if one > after]
        return answer([payloads.partial_guild(guild, me=self._discord.bot) for guild in there[:limit]])

    async def _guild(self, request: web.Request) -> web.Response:
        return answer(payloads.guild(self._paths.guild(request), me=self._discord.bot))

    async def _channels(self, request: web.Request) -> web.Response:
        channels = [channel for channel in self._paths.guild(request).channels if not channel.is_thread]
        return answer([payloads.channel(channel, me=self._discord.bot.id) for channel in channels])

    async def _member(self, request: web.Request) -> web.Response:
        user = self._discord.people.get(int(request.match_info["user"]))
        if user is None:
            raise ApiError(404, 10007, "Unknown Member")
        return answer(payloads.member(user, with_user=True))

    async def _channel(self, request: web.Request) -> web.Response:
        return self._said(self._paths.channel(request))

    async def _edit_channel(self, request: web.Request) -> web.Response:
        channel = self._paths.channel(request)
        if channel.denies("manage_threads") and channel.owner is not self._discord.bot:
            raise ApiError(*MISSING_PERMISSIONS)
        changes = await request.json()
        if "name" in changes:
            channel.name = thread_name(changes)
        channel.archived = changes.get("archived", channel.archived)
        await self._discord.announce_thread("THREAD_UPDATE", channel)
        return self._said(channel)

    async def _typing(self, request: web.Request) -> web.Response:
        channel = self._paths.channel(request)
        self._paths.must_be_able_to_write(channel)
        self._discord.typings.append(channel)
        return nothing()

    async def _start_thread(self, request: web.Request) -> web.Response:
        message = self._paths.message(request)
        channel = message.channel
        if channel.denies("create_public_threads"):
            raise ApiError(*MISSING_PERMISSIONS)
        if channel.type not in (ChannelType.TEXT, ChannelType.NEWS):
            raise ApiError(*WRONG_CHANNEL_TYPE)
        if message.thread is not None:
            raise ApiError(*THREAD_EXISTS)
        name = thread_name(await request.json())
        thread = await self._discord.open_thread(message, name, self._discord.bot)
        return self._said(thread, status=201)

    async def _start_post(self, request: web.Request) -> web.Response:
        """A thread in a forum: its first message has its id."""
        forum = self._paths.channel(request)
        if forum.denies("send_messages"):
            raise ApiError(*MISSING_PERMISSIONS)
        if forum.type not in FORUMS:
            raise ApiError(*WRONG_CHANNEL_TYPE)
        body = await request.json()
        name, content = thread_name(body), content_of(body.get("message") or {})
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
        thread, user = self._paths.channel(request), int(request.match_info["user"])
        if user not in thread.members:
            raise ApiError(404, 10007, "Unknown Member")
        return answer(payloads.thread_member(thread, user))

    async def _join_thread(self, request: web.Request) -> web.Response:
        thread = self._paths.channel(request)
        thread.members.add(self._discord.bot.id)
        await self._discord.announce_members(thread, joined=True)
        return nothing()

    async def _leave_thread(self, request: web.Request) -> web.Response:
        thread = self._paths.channel(request)
        thread.members.discard(self._discord.bot.id)
        await self._discord.announce_members(thread, joined=False)
        return nothing()

    def _said(self, channel: Channel, *, status: int = 200) -> web.Response:
        return answer(payloads.channel(channel, me=self._discord.bot.id), status=status)
