"""Letting a stream be over: from then on its message is one like any other."""

from __future__ import annotations

import logging

from aiohttp import ClientError
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from dspy_session_slack.refusals import error_code

_log = logging.getLogger(__name__)

OVER = frozenset({"message_not_in_streaming_state", "message_not_found", "msg_too_long", "msg_blocks_too_long"})
"""Refusals after which an answer goes on in another stream."""

STOPPED = frozenset({"stopped_by_user"})
"""Refusals after which nothing more is shown: people have stopped it."""


async def stop_stream(client: AsyncWebClient, channel: str, ts: str) -> None:
    """Let a stream be over, if it is not already."""
    try:
        await client.chat_stopStream(channel=channel, ts=ts)
    except (SlackApiError, ClientError, OSError) as error:
        if error_code(error) not in OVER | STOPPED:
            _log.info("A stream in %s was not ended: %s", channel, error_code(error))
