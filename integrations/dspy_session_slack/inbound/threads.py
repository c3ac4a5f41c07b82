"""Which threads the bot is in: there it answers without being mentioned."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from aiohttp import ClientError
from cachetools import LRUCache
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from dspy_session.errors import PlatformError
from dspy_session_slack.inbound.address import BotUser, is_from_bot
from dspy_session_slack.inbound.plaintext import mentions
from dspy_session_slack.refusals import error_code

_log = logging.getLogger(__name__)

REMEMBERED = 10_000
"""Threads whose answer is kept: about a megabyte, and more threads than people reply to between two restarts."""

PAGE = 200
"""Messages asked for at once: what Slack recommends at most."""

PAGES = 5
"""Pages read of one thread: in a longer one, the bot has to be mentioned again after a restart."""

PATIENCE = 2.0
"""Seconds that Slack has to show a thread: the reply in it is acknowledged within 3 s, or sent again."""

NO_HISTORY = (
    "Replies in threads need a mention after a restart: add channels:history and groups:history to the scopes of the "
    "bot token in the Slack app's settings and install it again"
)

UNREADABLE = frozenset({"missing_scope", "not_in_channel", "channel_not_found", "thread_not_found"})
"""Refusals that asking again does not change: without a look into the thread, the bot is not in it."""


class Threads:
    """Remembers which threads the bot is in, and looks into a thread that it does not remember.

    Memory alone would forget at every restart, and the event alone cannot tell: it names who wrote the thread's first
    message, not who was mentioned or replied in it. So the thread itself is read, once: ``conversations.replies`` is
    rationed (50 calls a minute; one a minute for apps sold outside of Slack's Marketplace). A thread found to be
    without the bot is remembered too; the mention that brings the bot in is an event that we see.

    Args:
        client: Reads the threads.
    """

    def __init__(self, client: AsyncWebClient) -> None:
        self._client = client
        self._known: LRUCache[tuple[str, str], bool] = LRUCache(REMEMBERED)
        self._warned = False

    def join(self, channel: str, thread: str) -> None:
        """The bot was mentioned in a thread, or posts there."""
        self._known[channel, thread] = True

    def remembers(self, channel: str, thread: str) -> bool:
        """Whether the bot is known to be in a thread, without asking Slack."""
        return self._known.get((channel, thread), False)

    async def includes(self, event: Mapping[str, Any], bot: BotUser) -> bool:
        """Whether the bot is in the thread that ``event`` replies in.

        For the sake of another bot Slack is not asked: some reply to every alarm, in threads where nobody wants us.

        Raises:
            PlatformError: Slack would not say for now; ask again later.
        """
        place = event["channel"], event["thread_ts"]
        if event.get("parent_user_id") == bot.user_id:
            self.join(*place)
        known = self._known.get(place)
        if known is None and is_from_bot(event):
            return False
        if known is None:
            found = await self._read(*place, bot)
            # The bot may have joined while Slack was being asked.
            known = self._known.setdefault(place, found)
        return known

    async def _read(self, channel: str, thread: str, bot: BotUser) -> bool:
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._shows(channel, thread, bot)
        except (SlackApiError, ClientError, OSError) as error:
            code = error_code(error)
            if code not in UNREADABLE:
                raise PlatformError(f"Slack does not say whether the bot is in a thread ({code})") from None
        if code == "missing_scope" and not self._warned:
            self._warned = True
            _log.warning("%s", NO_HISTORY)
        return False

    async def _shows(self, channel: str, thread: str, bot: BotUser) -> bool:
        """Whether a thread has a message of the bot's, or one by which a person mentions it."""
        cursor: str | None = None
        for _ in range(PAGES):
            page = await self._client.conversations_replies(channel=channel, ts=thread, limit=PAGE, cursor=cursor)
            for message in page["messages"] or []:
                if bot.wrote(message):
                    return True
                # A bot that mentions us has to be answered before we are in its thread.
                if not is_from_bot(message) and bot.user_id in mentions(message.get("text") or ""):
                    return True
            cursor = (page["response_metadata"] or {}).get("next_cursor")
            if not cursor:
                break
        return False
