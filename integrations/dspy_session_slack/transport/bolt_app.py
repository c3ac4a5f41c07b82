"""The Bolt app that whatever comes goes through: one of our own, or one that has handlers besides us."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from typing import Any

from slack_bolt.app.async_app import AsyncApp
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient

from dspy_session.errors import SessionError
from dspy_session_slack.installing.installed import NotInstalledError
from dspy_session_slack.reception import EVENT, Reception
from dspy_session_slack.transport.request import Answer, answer_of

_log = logging.getLogger(__name__)

# What Bolt remarks on when an app of our own is made is about a token in the environment that it has no need of.
_bolt = logging.getLogger(f"{__name__}.bolt")
_bolt.setLevel(logging.ERROR)

Take = Callable[..., Awaitable[Any]]
"""Called by Bolt with whatever comes."""


def own_app(client: AsyncWebClient, take: Take, *, many: bool) -> AsyncApp:
    """A Bolt app with nobody else in it.

    Args:
        client: Calls Slack.
        take: Called before Bolt authorizes.
        many: Whether it is for many workspaces.
    """
    authorize: Any = _nobody if many else None
    return AsyncApp(name="dspy-session-slack", client=client, authorize=authorize, before_authorize=take, logger=_bolt)


async def _nobody() -> None:
    """Bolt wants to be told who may; whatever comes to an app of our own is answered before it asks."""


class BoltApp:
    """A Bolt app with us in it.

    Args:
        given: The app to join; None for one of our own.
        make: Makes one of our own, with what is to be called before Bolt authorizes.
        reception: Takes in what comes; None while we do not run.
    """

    def __init__(
        self,
        given: AsyncApp | None,
        make: Callable[[Take], AsyncApp],
        reception: Callable[[], Reception | None],
    ) -> None:
        self._given = given
        self._make = make
        self._reception = reception

    @cached_property
    def app(self) -> AsyncApp:
        """The app; the one that was given is joined."""
        if self._given is None:
            # Before Bolt authorizes: that costs a call, and when it fails, Bolt acknowledges the event, which is lost.
            return self._make(self._take_and_acknowledge)
        self._given.middleware(self._take)
        _acknowledge_the_rest(self._given, self._is_running)
        return self._given

    async def dispatch(self, sent: Mapping[str, Any], headers: Mapping[str, str]) -> Answer:
        """Take what came over HTTP, and was found to be Slack's."""
        if self._given is None:
            return await self._dispatch_alone(sent)
        # Bolt takes what is parsed already where it comes by a socket, and does not ask again whether it is genuine.
        request = AsyncBoltRequest(body=dict(sent), headers=dict(headers), mode="socket_mode")
        response = await self.app.async_dispatch(request)
        return answer_of(response)

    async def _dispatch_alone(self, sent: Mapping[str, Any]) -> Answer:
        """Take what came, past an app of our own: nobody else is in it, and a third of the time of a request was
        Bolt's way to us.
        """
        if self._reception() is None:
            return Answer(503)  # a bot that starts or stops: it comes again
        try:
            return answer_of(await self._take_and_acknowledge(sent))
        except Exception:  # noqa: BLE001  # whatever it is, Slack must be told to come again
            _log.exception("What Slack sent could not be taken, and comes again")
            return Answer(500)

    async def _take_and_acknowledge(self, body: Mapping[str, Any]) -> BoltResponse:
        """Bolt's middleware in an app of our own: no other handler is there that could wait for anything."""
        return await self._handle(body) or BoltResponse(status=200)

    async def _take(self, body: Mapping[str, Any], next_: Callable[[], Awaitable[None]]) -> BoltResponse | None:
        """Bolt's middleware in an app that we joined: whatever comes passes here, and goes on to its handlers."""
        response = await self._handle(body)
        if response is None:
            await next_()
        return response

    async def _handle(self, body: Mapping[str, Any]) -> BoltResponse | None:
        """Take what came; the answer to Slack, None when it is for others to give."""
        reception = self._reception()
        if reception is None:
            return None
        try:
            return BoltResponse(status=200) if await reception.take(body) else None
        except NotInstalledError:
            return None  # it has been said; coming again would not help
        except SessionError as error:
            if body.get("type") == EVENT:
                _log.warning("A Slack event was not taken, and Slack will send it again: %s", error)
            else:
                _log.warning("What somebody did was in vain, and Slack says so: %s", error)
            return BoltResponse(status=503)

    async def _is_running(self) -> bool:
        return self._reception() is not None


def _acknowledge_the_rest(app: AsyncApp, is_running: Callable[[], Awaitable[bool]]) -> None:
    """Acknowledge the events that have no listener, which Slack would send three times more."""

    async def acknowledge() -> None:
        """Bolt acknowledges an event for having a listener."""

    app.event(re.compile(""), matchers=[is_running])(acknowledge)
