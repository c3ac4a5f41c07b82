"""A connection that Slack's events come in by: Slack's own client, closed cleanly and told when to give up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from time import time
from typing import Any, NoReturn

from aiohttp import ClientError
from slack_bolt.adapter.socket_mode.async_internals import run_async_bolt_app, send_async_response
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.web.async_client import AsyncWebClient

from dspy_session.errors import PlatformError
from dspy_session.redaction import redact
from dspy_session_slack.refusals import is_passing
from dspy_session_slack.setup.sign_in import sign_in_failure

_log = logging.getLogger(__name__)

GRACE = 2.0
"""Seconds that events under way have for their acknowledgement when we stop, and Slack for its goodbye."""

DISCONNECT = "disconnect"


class _Short(logging.Filter):
    """Makes a line of what the SDK logs when Slack cannot be reached: with a traceback, every few seconds, and with the
    address of the socket, which is a key to it.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage()), ()
        if record.exc_info and isinstance(record.exc_info[1], ClientError | OSError | PlatformError):
            record.exc_info = record.exc_text = None
        return True


_sdk = logging.getLogger(f"{__name__}.client")
_sdk.addFilter(_Short())

TRIES = 2
"""How often one address is tried, ``ping_interval`` apart, before Slack is asked for another."""


class Socket(SocketModeClient):
    """Slack's Socket Mode client, with what it leaves to its callers.

    Every address that Slack gives is good for one connection, so a new one is asked for where the client would knock at
    the old one for ever. Its tasks are kept and awaited, so that closing leaves none behind. When Slack takes the
    app-level token back, that is an answer, not an outage. And when Slack is about to close the connection, which it
    does every few hours, another one takes its place: what came by this one is still acknowledged by it.

    Args:
        app: Handles the events.
        app_token: The app-level token.
        web_client: Asks for addresses; its proxy is the socket's too.
        ping_interval: Seconds between two pings; a connection that went silent is replaced after four.
        refusal: Gets the answer when Slack lets us in no more.
        ending: Called with the reason when Slack is about to close the connection.
    """

    def __init__(
        self,
        app: AsyncApp,
        app_token: str,
        web_client: AsyncWebClient,
        ping_interval: float,
        *,
        refusal: asyncio.Future[NoReturn],
        ending: Callable[[Socket, str], None],
    ) -> None:
        super().__init__(app_token, _sdk, web_client, web_client.proxy, ping_interval=ping_interval)
        self._app = app
        self._under_way: set[asyncio.Task[Any]] = set()
        self._refusal = refusal
        self._ending = ending
        self.socket_mode_request_listeners.append(self._dispatch)

    async def issue_new_wss_url(self) -> str:
        """Ask for the address of a new connection.

        Raises:
            PlatformError: Slack does not give one.
        """
        try:
            answer = await self.web_client.apps_connections_open(app_token=self.app_token)
        except (SlackApiError, ClientError, OSError) as error:
            failure = sign_in_failure(error, app_level=True)
            if not is_passing(error) and not self._refusal.done():
                self._refusal.set_exception(failure)
            raise failure from None
        url: str = answer["url"]
        return url

    async def connect(self) -> None:
        """Connect, asking for a new address when one leads nowhere."""
        while not self.closed and not self._refusal.done():
            try:
                async with asyncio.timeout(TRIES * self.ping_interval):
                    await super().connect()  # type: ignore[no-untyped-call]
                    return
            except TimeoutError:
                self.wss_uri = None

    async def run_message_listeners(self, message: dict[str, Any], raw_message: str) -> None:
        """Handle one message; the task is kept until it is done."""
        task = asyncio.current_task()
        if task is not None:
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        if message.get("type") == DISCONNECT:
            self.auto_reconnect_enabled = False
            self._ending(self, str(message.get("reason")))
            return
        await super().run_message_listeners(message, raw_message)

    async def finish(self, seconds: float) -> None:
        """Wait until what came by this connection is acknowledged, for some seconds at most."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=seconds)

    async def close(self) -> None:
        """Let what is under way be acknowledged, say goodbye, and leave neither task nor socket behind."""
        self.closed = True
        self.auto_reconnect_enabled = False
        await self.finish(GRACE)
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                await self.disconnect()  # type: ignore[no-untyped-call]
        await super().close()  # type: ignore[no-untyped-call]
        tasks = [*self._under_way, self.message_processor, self.current_session_monitor, self.message_receiver]
        running = [task for task in tasks if task is not None]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _dispatch(self, _client: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
        started = time()
        response = await run_async_bolt_app(self._app, request)
        try:
            await send_async_response(self, request, response, started)
        except ConnectionError:
            _log.info("Slack hung up before an event was acknowledged, and will send it again")
