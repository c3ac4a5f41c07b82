"""The way of a press from Slack to the bot, and of a question back to whoever pressed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from aiohttp import ClientError
from slack_sdk.errors import SlackApiError

from dspy_session_chat.deciding import IsOpen
from dspy_session_chat.platform import Receive
from dspy_session_slack.inbound.presses import PRESSED, SUBMITTED, Pressed, answered, is_answer, pressed, question
from dspy_session_slack.refusals import error_code
from dspy_session_slack.workspace import Workspace

_log = logging.getLogger(__name__)

PATIENCE = 2.5
"""Seconds that Slack has to open a modal: after three, what it is opened with is void, and the press unacknowledged."""


class Interactions:
    """Hands presses of our buttons over, and asks what a button asks.

    A press is acknowledged once it is taken, like a message; one that is not, Slack does not send again but tells the
    person who pressed. It names them by their handle, so nothing is looked up.

    Args:
        workspace: Where.
        receive: Takes a press over.
        is_open: Whether a press may come to something: where it may not, nobody is asked for words.
        now: The time.
    """

    def __init__(
        self,
        workspace: Workspace,
        receive: Receive,
        is_open: IsOpen,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._bot = workspace.bot
        self._client = workspace.client
        self._directory = workspace.directory
        self._receive = receive
        self._is_open = is_open
        self._now = now

    async def take(self, body: Mapping[str, Any]) -> bool:
        """Take a press or an answer; False if it belongs to somebody else's button.

        Raises:
            SessionError: The bot could not take it.
        """
        if body.get("type") == PRESSED:
            press = pressed(body, self._bot, self._names(body))
            if press is None:
                return False
            if press.button.waits:
                if not (self._is_open(press.action) and await self._ask(press)):
                    await self._receive(press.action)
                return True
            # Before all else: a modal has to be opened within three seconds.
            asking = asyncio.create_task(self._ask(press))
            try:
                await self._receive(press.action)
            finally:
                await asking
            return True
        if body.get("type") == SUBMITTED and is_answer(body):
            answer = answered(body, self._bot, self._names(body), self._now())
            if answer is not None:
                await self._receive(answer)
            return True
        return False

    async def _ask(self, press: Pressed) -> bool:
        """Ask what a button asks; False if it asks nothing, or that cannot be asked."""
        if not (press.button.asks and press.trigger):
            return False
        try:
            async with asyncio.timeout(PATIENCE):
                await self._client.views_open(trigger_id=press.trigger, view=question(press))
        except (SlackApiError, ClientError, OSError) as error:
            _log.warning("The question of the button %r was not asked: %s", press.button.action, error_code(error))
            return False
        return True

    def _names(self, body: Mapping[str, Any]) -> dict[str, str]:
        ids = [part.get("id") for part in (body.get("user"), body.get("channel")) if isinstance(part, Mapping)]
        return self._directory.known(each for each in ids if isinstance(each, str))
