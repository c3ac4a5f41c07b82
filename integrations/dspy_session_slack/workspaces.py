"""Which workspaces there are: the one of a bot token, or all that the app was installed in."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from slack_sdk.web.async_client import AsyncWebClient

from dspy_session_slack.home import Home
from dspy_session_slack.inbound.address import BotUser
from dspy_session_slack.installing.leaving import Leaving
from dspy_session_slack.setup.sign_in import sign_in, sign_in_once_reached, tell_of_lacking
from dspy_session_slack.workspace import Workspace

_log = logging.getLogger(__name__)


class Workspaces(Protocol):
    """Finds the workspace that an event came from, and that an answer goes to."""

    async def open(self) -> str:
        """Get ready, and say who the bot is; while Slack cannot be reached that is tried again.

        Raises:
            PlatformError: Slack does not let us in.
        """
        ...

    def close(self) -> None:
        """Let go of what ``open`` made."""
        ...

    def renew(self, home: Home) -> None:
        """Look up anew what is installed there: Slack did not accept the token."""
        ...

    async def left(self, home: Home, leaving: Leaving) -> None:
        """A workspace has taken the app out, or its people have taken tokens back."""
        ...

    async def find(self, home: Home) -> Workspace:
        """The workspace, signed in.

        Raises:
            PlatformError: The app is not installed there, Slack does not let us in, or cannot be reached.
        """
        ...


class OneWorkspace:
    """The workspace of a bot token: whatever comes is from there.

    Args:
        client: Calls Slack, with the token.
    """

    def __init__(self, client: AsyncWebClient) -> None:
        self._client = client
        self._signing_in = asyncio.Lock()
        self._workspace: Workspace | None = None
        self._is_out = False

    async def open(self) -> str:
        """Sign in; the bot's handle."""
        async with self._signing_in:
            bot = self._entered(await sign_in_once_reached(self._client)).bot
            self._is_out = False
        tell_of_lacking(f"the Slack workspace {bot.team_id}", bot.scopes)
        return f"@{bot.name}"

    def close(self) -> None:
        """The workspace is the same the next time."""

    def renew(self, home: Home) -> None:
        """There is no other token than the one that was given."""

    async def left(self, home: Home, leaving: Leaving) -> None:
        """Say so: without its token the bot answers nobody, until somebody gives it a new one."""
        if leaving.altogether and not self._is_out:  # Slack tells twice, of the app and of its token
            self._is_out = True
            _log.error(
                "The Slack workspace %s has taken the app out: install it again, and start the bot with the new bot "
                "token",
                home,
            )

    async def find(self, home: Home) -> Workspace:
        """The workspace, wherever an event says that it is from."""
        if self._workspace is not None:
            return self._workspace
        async with self._signing_in:
            return self._workspace or self._entered(await sign_in(self._client))

    def _entered(self, bot: BotUser) -> Workspace:
        if self._workspace is None or self._workspace.bot != bot:
            self._workspace = Workspace.of(bot, self._client)
        return self._workspace
