"""What a path of the API names, and whether the bot may do there what it wants to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from tests.loopback.discord.refusal import (
    CLOSED_DMS,
    FORUM_CHANNEL,
    MISSING_ACCESS,
    MISSING_PERMISSIONS,
    THREAD_LOCKED,
    UNKNOWN_CHANNEL,
    UNKNOWN_MESSAGE,
    ApiError,
)
from tests.loopback.discord.world import FORUMS, Channel, Guild, Message

if TYPE_CHECKING:
    from tests.loopback.discord.server import FakeDiscord


class Paths:
    """Finds what is meant in one fake Discord, or refuses as the real one does."""

    def __init__(self, discord: FakeDiscord) -> None:
        self._discord = discord

    def guild(self, request: web.Request) -> Guild:
        guild = self._discord.guilds.get(int(request.match_info["guild"]))
        if guild is None:
            raise ApiError(404, 10004, "Unknown Guild")
        return guild

    def channel(self, request: web.Request) -> Channel:
        channel = self._discord.channels.get(int(request.match_info["channel"]))
        if channel is None:
            raise ApiError(*UNKNOWN_CHANNEL)
        if channel.denies("view_channel") or not (channel.guild is None or channel.guild.has_bot):
            raise ApiError(*MISSING_ACCESS)
        return channel

    def message(self, request: web.Request) -> Message:
        message = self.channel(request).messages.get(int(request.match_info["message"]))
        if message is None or message.private_to is not None:
            raise ApiError(*UNKNOWN_MESSAGE)
        return message

    def must_be_able_to_write(self, channel: Channel) -> None:
        if channel.recipient is not None and not channel.recipient.accepts_dms:
            raise ApiError(*CLOSED_DMS)
        if channel.type in FORUMS:
            raise ApiError(*FORUM_CHANNEL)
        if channel.locked and channel.denies("manage_threads"):
            raise ApiError(*THREAD_LOCKED)
        if channel.denies("send_messages_in_threads" if channel.is_thread else "send_messages"):
            raise ApiError(*MISSING_PERMISSIONS)

    def must_be_able_to_attach(self, channel: Channel, files: dict[int, tuple[str, bytes]]) -> None:
        if files and channel.denies("attach_files"):
            raise ApiError(*MISSING_PERMISSIONS)
