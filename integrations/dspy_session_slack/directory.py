"""What people call one another and their channels: events carry ids."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from aiohttp import ClientError
from cachetools import TTLCache
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from dspy_session_slack.refusals import error_code, is_passing

_log = logging.getLogger(__name__)

REMEMBERED = 10_000
"""Names kept at once."""

FRESH = 3600.0
"""Seconds until a name is looked up again: people rename themselves and their channels."""

PATIENCE = 0.5
"""Seconds that a message waits for names: it is acknowledged within Slack's 3 s, if need be with ids for names."""

ASKED_AT_ONCE = 10
"""Names looked up for one message: one that mentions hundreds must not use up the rate limit."""


class Directory:
    """Looks names up and remembers them; what Slack does not tell in time has no name.

    Args:
        client: Asks Slack.
    """

    def __init__(self, client: AsyncWebClient) -> None:
        self._client = client
        self._names: TTLCache[str, str] = TTLCache(REMEMBERED, FRESH)

    async def names(self, ids: Iterable[str]) -> dict[str, str]:
        """The names of users (``"U…"``, ``"W…"``) and channels (``"C…"``, ``"G…"``); never raises for a missing one."""
        ids = list(dict.fromkeys(ids))
        unknown = [each for each in ids if each not in self._names][:ASKED_AT_ONCE]
        try:
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(*map(self._look_up, unknown))
        except TimeoutError:
            _log.info("Slack is slow to tell names: this message goes on without")
        return self.known(ids)

    def known(self, ids: Iterable[str]) -> dict[str, str]:
        """The names that are remembered, without asking Slack."""
        return {each: name for each in ids if (name := self._names.get(each))}

    async def _look_up(self, each: str) -> None:
        try:
            self._names[each] = await (self._user(each) if each[0] in "UW" else self._channel(each))
        except (SlackApiError, ClientError, OSError) as error:
            if not is_passing(error):
                # A missing scope is not asked about again for every message.
                self._names[each] = ""
            _log.info("Slack does not tell the name of %s: %s", each, error_code(error))

    async def _user(self, user: str) -> str:
        found = (await self._client.users_info(user=user))["user"] or {}
        profile = found.get("profile") or {}
        return str(profile.get("display_name") or found.get("real_name") or found.get("name") or "")

    async def _channel(self, channel: str) -> str:
        found = (await self._client.conversations_info(channel=channel))["channel"] or {}
        # A group DM's name is made up from its members' handles, and shown to nobody.
        return "" if found.get("is_mpim") else str(found.get("name") or "")
