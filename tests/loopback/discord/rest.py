"""The HTTP side of the fake Discord: API v10, with Discord's own refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from tests.loopback.discord import payloads
from tests.loopback.discord.application import Application
from tests.loopback.discord.bodies import Handler, answer, nothing
from tests.loopback.discord.messages import Messages
from tests.loopback.discord.network import CDN, GATEWAY, MEDIA
from tests.loopback.discord.places import Places
from tests.loopback.discord.refusal import UNAUTHORIZED, ApiError

if TYPE_CHECKING:
    from tests.loopback.discord.server import FakeDiscord

PREFIX = "/api/v10"


class Rest:
    """Routes of the API over one fake Discord."""

    def __init__(self, discord: FakeDiscord) -> None:
        self._discord = discord

    def application(self) -> web.Application:
        application = web.Application(middlewares=[self._gate])
        messages = Messages(self._discord)
        for method, path, handler in (
            ("GET", "/users/@me", self._me),
            ("GET", "/oauth2/applications/@me", self._application),
            ("GET", "/gateway/bot", self._gateway),
            *Places(self._discord).routes(),
            *messages.routes(),
            *Application(self._discord, messages).routes(),
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

    async def _attachment(self, request: web.Request) -> web.Response:
        if request.host.partition(":")[0] not in (CDN, MEDIA):
            return web.Response(status=404)
        return await self._discord.cdn.serve(request)
