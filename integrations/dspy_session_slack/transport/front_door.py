"""Where Slack's requests come in by HTTP: what is not Slack's, or is not well formed, comes no further."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from dspy_session_slack.transport.request import Answer, BadRequestError, Request, parse, read
from dspy_session_slack.transport.signature import is_genuine, is_signed

_log = logging.getLogger(__name__)

Dispatch = Callable[[Mapping[str, Any], Mapping[str, str]], Awaitable[Answer]]
"""Takes what Slack sent, and the headers that it came with."""


class FrontDoor:
    """Lets in what Slack sent, and nothing else.

    It looks at the size, the signature and the time of a request before anything in it is parsed, and no word of what
    is refused is kept. Slack is answered as soon as ``dispatch`` has taken what it sent; what could not be taken gets
    a 503, and Slack sends it again, up to three times within an hour.

    Args:
        secret: The app's signing secret; None while it is not known.
        dispatch: Takes what came.
        now: The time, in seconds since 1970, UTC.
    """

    def __init__(
        self, secret: Callable[[], str | None], dispatch: Dispatch, now: Callable[[], float] = time.time
    ) -> None:
        self._secret = secret
        self._dispatch = dispatch
        self._now = now
        self._has_doubted = False

    async def answer(self, request: Request) -> Answer:
        """Take a request in."""
        if request.method != "POST":
            return Answer(405, headers=[("Allow", "POST")])
        try:
            return await self._answer(request)
        except BadRequestError as refused:
            _log.info("A request was refused that did not come from Slack, or not whole: %s", refused)
            return Answer(refused.status)

    async def _answer(self, request: Request) -> Answer:
        secret = self._secret()
        body = await read(request)
        if not secret:
            _log.warning("A request came and there is no signing secret to check it by: set SLACK_SIGNING_SECRET")
            return Answer(503)
        if not is_genuine(body, request.headers, secret, self._now()):
            if is_signed(request.headers):
                self._doubt()
            raise BadRequestError(401)
        sent = parse(body, request.headers.get("content-type", ""))
        if sent.get("type") == "url_verification":
            challenge = sent.get("challenge")
            return Answer(text=challenge if isinstance(challenge, str) else "")
        if "ssl_check" in sent:
            return Answer()
        if sent.get("type") == "app_rate_limited":
            _log.warning("Slack holds events back for a minute: more came for the app than it lets through in an hour")
            return Answer()
        return await self._dispatch(sent, request.headers)

    def _doubt(self) -> None:
        """Say once what is wrong if that was Slack after all: nobody else signs by chance as Slack does."""
        if not self._has_doubted:
            self._has_doubted = True
            _log.warning(
                "A request was refused that is signed as Slack signs, with another key or at another time: see that "
                "SLACK_SIGNING_SECRET is the one of this app (on the page Basic Information), and the clock right"
            )
