"""What was said in a thread or a DM before the bot was called into it."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Sequence
from typing import Any

from aiohttp import ClientError
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from dspy_session_chat.action import Event
from dspy_session_chat.platform import Said
from dspy_session_slack.directory import Directory
from dspy_session_slack.inbound.address import WRITTEN, BotUser, author_id, is_id, is_time
from dspy_session_slack.inbound.forwards import forwards
from dspy_session_slack.inbound.translate import author_of, named_in, text_of
from dspy_session_slack.key import place_of_message
from dspy_session_slack.refusals import error_code

_log = logging.getLogger(__name__)

PAGE = 1_000
"""Messages that Slack gives at once at most. It gives a thread from its beginning, so the end of a longer one cannot be
had by a single call."""

PATIENCE = 5.0
"""Seconds that Slack has: somebody waits for an answer."""


class LookingBack:
    """Reads what stands there, by one call: these are rationed (50 a minute; one a minute and 15 messages for apps that
    are sold outside of Slack's Marketplace).

    Args:
        client: Asks Slack.
        directory: What people are called.
    """

    def __init__(self, client: AsyncWebClient, directory: Directory) -> None:
        self._client = client
        self._directory = directory
        self._refusal = ""  # which was told of

    async def said_before(self, inbound: Event, bot: BotUser, most: int) -> list[Said]:
        """The newest ``most`` messages before ``inbound``, oldest first; none when they cannot be had."""
        channel, ts = place_of_message(inbound.event_id)
        thread = inbound.key.thread
        if most < 1 or not is_time(ts) or thread == ts:  # nothing comes before what begins a conversation
            return []
        try:
            async with asyncio.timeout(PATIENCE):
                messages = await (
                    self._history(channel, ts, most) if thread is None else self._replies(channel, thread, ts)
                )
        except (SlackApiError, ClientError, OSError) as error:
            if (refusal := error_code(error)) != self._refusal:
                self._refusal = refusal
                _log.warning("What was said before in %s cannot be had: %s", channel, refusal)
            return []
        self._refusal = ""
        written = [message for message in messages if _is_written(message)][-most:]
        named = [named_in({**message, "channel": channel}, bot) for message in reversed(written)]
        names = await self._directory.names(itertools.chain(*named), at_leisure=True)
        return [
            Said(author_of(message, bot, names), text_of(message, bot, names), ours=bot.wrote(message))
            for message in written
        ]

    async def _replies(self, channel: str, thread: str, before: str) -> list[dict[str, Any]]:
        page = await self._client.conversations_replies(channel=channel, ts=thread, latest=before, limit=PAGE)
        if page.get("has_more"):
            _log.info("A thread in %s is too long to be read back", channel)
            return []
        # The message that began the thread comes whatever is asked for.
        return [message for message in page["messages"] or [] if str(message.get("ts")) < before]

    async def _history(self, channel: str, before: str, most: int) -> list[dict[str, Any]]:
        page = await self._client.conversations_history(channel=channel, latest=before, limit=min(most, PAGE))
        messages: Sequence[dict[str, Any]] = page["messages"] or []
        return list(reversed(messages))


def _is_written(message: dict[str, Any]) -> bool:
    return (
        message.get("subtype") in WRITTEN
        and is_id(author_id(message))
        and isinstance(message.get("text") or "", str)
        and bool(message.get("text") or forwards(message))
    )
