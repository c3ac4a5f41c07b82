"""Where Slack comes in: over the sockets that the bot opens, or by requests to its doors."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from slack_sdk.web.async_client import AsyncWebClient

from dspy_session_slack.installing.pages import Installing
from dspy_session_slack.transport.bolt_app import BoltApp
from dspy_session_slack.transport.front_door import FrontDoor
from dspy_session_slack.transport.listening import listening, place_of
from dspy_session_slack.transport.mounting import Handler, routes
from dspy_session_slack.transport.request import Answer, Request
from dspy_session_slack.transport.sockets import connected
from dspy_session_slack.transport.transports import Asked

_log = logging.getLogger(__name__)

Ended = Callable[[], Awaitable[object]]
"""Waits for as long as Slack lets us in."""


class Entrance:
    """Lets in what Slack sends, on its way through Bolt.

    Args:
        asked: Which way somebody asked for.
        bolt: What it goes through.
        installing: The pages for installing the app, None while they are closed; None if it has none at all.
    """

    def __init__(self, asked: Asked, bolt: BoltApp, installing: Callable[[], Installing | None] | None) -> None:
        self._asked = asked
        self._bolt = bolt
        self._installing = installing
        self._front_door = FrontDoor(lambda: asked.secret, bolt.dispatch)

    @property
    def doors(self) -> Mapping[str, Handler]:
        """What answers requests, by the last part of their paths."""
        doors: dict[str, Handler] = {"events": self._front_door.answer}
        if self._installing is not None:
            doors |= {"install": self._begin, "oauth_redirect": self._finish}
        return doors

    async def check(self) -> None:
        """See that one can listen where that was asked for, before anything else is waited for.

        Raises:
            ConfigurationError: Nobody can.
        """
        if self._asked.listen is not None:
            async with listening((), *place_of(self._asked.listen)):
                pass

    @asynccontextmanager
    async def open(
        self, app_token: str | None, client: AsyncWebClient, *, ping_interval: float, sockets: int
    ) -> AsyncIterator[Ended]:
        """Be there for Slack: over sockets where there is an app-level token, else by HTTP.

        Raises:
            PlatformError: Slack does not let us in.
            ConfigurationError: Nobody can listen where that was asked for.
        """
        if app_token is not None:
            async with connected(
                self._bolt.app, app_token, client, ping_interval=ping_interval, count=sockets
            ) as connections:
                yield connections.refused
        elif self._asked.listen is None:
            yield asyncio.Event().wait
        else:
            async with listening(routes(self.doors, "/slack"), *place_of(self._asked.listen)) as address:
                _log.info("Waiting for Slack's requests at http://%s/slack/events", address)
                yield asyncio.Event().wait

    async def _begin(self, request: Request) -> Answer:
        pages = self._installing and self._installing()
        return await pages.begin(request) if pages else Answer(503)

    async def _finish(self, request: Request) -> Answer:
        pages = self._installing and self._installing()
        return await pages.finish(request) if pages else Answer(503)
