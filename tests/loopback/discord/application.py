"""The part of the API that an application is about: its commands, and what it answers to interactions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from aiohttp import web

from tests.loopback.discord import components, uploads
from tests.loopback.discord.bodies import Payload, Route, answer, content_of
from tests.loopback.discord.interactions import Answer, Interaction, Kind
from tests.loopback.discord.refusal import (
    EMPTY_MESSAGE,
    INVALID_TOKEN,
    MISSING_ACCESS,
    UNKNOWN_INTERACTION,
    UNKNOWN_MESSAGE,
    UNKNOWN_WEBHOOK,
    ApiError,
)
from tests.loopback.discord.world import COMMAND_ANSWER, EPHEMERAL, LOADING, MENU_ANSWER, REPLY, Message

if TYPE_CHECKING:
    from tests.loopback.discord.messages import Messages
    from tests.loopback.discord.server import FakeDiscord

ORIGINAL = "@original"


class Application:
    """Routes over one fake Discord.

    Args:
        discord: It.
        messages: The routes of messages: an answer is one.
    """

    def __init__(self, discord: FakeDiscord, messages: Messages) -> None:
        self._discord = discord
        self._messages = messages

    def routes(self) -> Iterator[Route]:
        for place in ("/applications/{application}/commands", "/applications/{application}/guilds/{guild}/commands"):
            yield "GET", place, self._commands
            yield "PUT", place, self._put_commands
            yield "POST", place, self._post_command
            yield "GET", f"{place}/{{command}}", self._command
            yield "PATCH", f"{place}/{{command}}", self._patch_command
            yield "DELETE", f"{place}/{{command}}", self._delete_command
        yield "POST", "/interactions/{interaction}/{token}/callback", self._callback
        webhook = "/webhooks/{application}/{token}"
        yield "POST", webhook, self._follow_up
        yield "GET", f"{webhook}/messages/{{message}}", self._message
        yield "PATCH", f"{webhook}/messages/{{message}}", self._edit
        yield "DELETE", f"{webhook}/messages/{{message}}", self._delete

    # commands

    async def _commands(self, request: web.Request) -> web.Response:
        return answer(self._discord.commands.all(self._guild(request)))

    async def _put_commands(self, request: web.Request) -> web.Response:
        return answer(self._discord.commands.put(self._guild(request), await request.json()))

    async def _post_command(self, request: web.Request) -> web.Response:
        return answer(self._discord.commands.upsert(self._guild(request), await request.json()), status=201)

    async def _command(self, request: web.Request) -> web.Response:
        return answer(self._discord.commands.get(self._guild(request), int(request.match_info["command"])))

    async def _patch_command(self, request: web.Request) -> web.Response:
        guild, number = self._guild(request), int(request.match_info["command"])
        return answer(self._discord.commands.change(guild, number, await request.json()))

    async def _delete_command(self, request: web.Request) -> web.Response:
        self._discord.commands.delete(self._guild(request), int(request.match_info["command"]))
        return web.Response(status=204)

    def _guild(self, request: web.Request) -> int | None:
        if int(request.match_info["application"]) != self._discord.bot.id:
            raise ApiError(404, 10002, "Unknown Application")
        if "guild" not in request.match_info:
            return None
        guild = self._discord.guilds.get(int(request.match_info["guild"]))
        if guild is None or not guild.has_bot:
            raise ApiError(*MISSING_ACCESS)
        return guild.id

    # the first answer

    async def _callback(self, request: web.Request) -> web.Response:
        interaction = self._discord.interactions.get(int(request.match_info["interaction"]))
        if interaction is None or interaction.token != request.match_info["token"]:
            raise ApiError(*UNKNOWN_INTERACTION)
        body, files = await uploads.read(request, self._discord.file_limit)
        interaction.take(body, self._discord.clock)
        told: Payload = {"id": str(interaction.id), "type": int(interaction.kind)}
        if body["type"] in (Answer.MESSAGE, Answer.DEFERRED_MESSAGE):
            message = self._new(interaction, body.get("data") or {}, private=interaction.private)
            interaction.original = message
            if body["type"] == Answer.DEFERRED_MESSAGE:
                message.flags |= LOADING
            else:
                self._fill(message, body["data"], files)
            await self._show(message)
            told |= {
                "response_message_id": str(message.id),
                "response_message_loading": message.loading,
                "response_message_ephemeral": interaction.private,
            }
        return answer({"interaction": told, "resource": {"type": body["type"]}})

    # further answers

    async def _follow_up(self, request: web.Request) -> web.Response:
        interaction = self._interaction(request)
        body, files = await uploads.read(request, self._discord.file_limit)
        original = interaction.original
        if original is not None and original.loading:  # it becomes that message, however visible it is to be
            return await self._fill_in(original, body, files)
        message = self._new(interaction, body, private=bool(body.get("flags", 0) & EPHEMERAL))
        message.type = REPLY
        message.reply_to = original or interaction.message
        message.pings_replied = False
        self._fill(message, body, files)
        interaction.further.append(message)
        await self._show(message)
        return answer(self._discord.seen(message))

    async def _message(self, request: web.Request) -> web.Response:
        return answer(self._discord.seen(self._find(request)))

    async def _edit(self, request: web.Request) -> web.Response:
        message = self._find(request)
        body, files = await uploads.read(request, self._discord.file_limit)
        return await self._fill_in(message, body, files)

    async def _fill_in(self, message: Message, body: Payload, files: uploads.Files) -> web.Response:
        waited = message.loading
        self._fill(message, body, files)
        message.flags &= ~LOADING
        if not waited:
            message.edited = self._discord.snowflakes.next()
        (self._discord.posts if waited else self._discord.edits).append(message)
        await self._tell(message, "MESSAGE_UPDATE")
        return answer(self._discord.seen(message))

    async def _delete(self, request: web.Request) -> web.Response:
        message, interaction = self._find(request), self._interaction(request)
        if message is interaction.original:
            interaction.original = None
        if message.private_to is None:
            await self._discord.delete(message)
        else:
            del message.channel.messages[message.id]
        return web.Response(status=204)

    def _interaction(self, request: web.Request) -> Interaction:
        for interaction in self._discord.interactions.values():
            if interaction.token == request.match_info["token"] and interaction.answer is not None:
                if interaction.is_over(self._discord.clock):
                    raise ApiError(*INVALID_TOKEN)
                return interaction
        raise ApiError(*UNKNOWN_WEBHOOK)

    def _find(self, request: web.Request) -> Message:
        interaction, named = self._interaction(request), request.match_info["message"]
        of_it = [interaction.original, *interaction.further]
        if interaction.deferred and named == ORIGINAL:
            of_it = [interaction.message]
        for message in of_it:
            if message is not None and named in (ORIGINAL, str(message.id)):
                if message.id not in message.channel.messages:
                    break
                return message
            if named == ORIGINAL:
                break
        raise ApiError(*UNKNOWN_MESSAGE)

    def _new(self, interaction: Interaction, body: Payload, *, private: bool) -> Message:
        menu = interaction.kind is Kind.COMMAND and "target_id" in interaction.data
        return Message(
            id=self._discord.snowflakes.next(),
            channel=interaction.channel,
            author=self._discord.bot,
            content="",
            type=MENU_ANSWER if menu else COMMAND_ANSWER,
            flags=body.get("flags", 0),
            webhook_id=self._discord.bot.id,
            private_to=interaction.user.id if private else None,
        )

    def _fill(self, message: Message, body: Payload, files: uploads.Files) -> None:
        content = content_of(body) if "content" in body else message.content
        if not content and not files and not message.attachments:
            raise ApiError(*EMPTY_MESSAGE)
        if "components" in body:
            message.components = components.checked(body["components"] or [])
        message.content = content
        message.allowed_mentions = body.get("allowed_mentions")
        if "flags" in body:
            message.flags = body["flags"] | message.flags & (EPHEMERAL | LOADING)
        self._messages.attach(message, body, files)

    async def _show(self, message: Message) -> None:
        message.channel.messages[message.id] = message
        if not message.loading:
            self._discord.posts.append(message)
        await self._tell(message, "MESSAGE_CREATE")

    async def _tell(self, message: Message, event: str) -> None:
        if message.private_to is None:
            await self._discord.announce(message, event)
