"""Slack's streams: where answers are shown by them, what Slack takes of them in a workspace, and how one is ended."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, get_args

from aiohttp import ClientError
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from dspy_session.errors import ConfigurationError
from dspy_session_chat.growing import Growing
from dspy_session_slack.key import is_dm
from dspy_session_slack.outbound.pace import Pace
from dspy_session_slack.refusals import error_code

_log = logging.getLogger(__name__)

OVER = frozenset({"message_not_in_streaming_state", "message_not_found", "msg_too_long", "msg_blocks_too_long"})
"""Refusals after which an answer goes on in another stream."""

STOPPED = frozenset({"stopped_by_user"})
"""Refusals after which nothing more is shown: people have stopped it."""

Streams = Literal["dms", "everywhere", "nowhere"]
"""Where answers are streamed: in the threads of an agent's DMs, in every thread, nowhere. In a channel only who asked
sees a stream grow; everybody else sees its beginning, and then its end."""


def checked_streams(where: Streams) -> Streams:
    """Where answers are streamed.

    Raises:
        ConfigurationError: That is no such place.
    """
    if where not in get_args(Streams):
        raise ConfigurationError(f"streams must be one of {', '.join(map(repr, get_args(Streams)))}; got {where!r:.80}")
    return where


@dataclass(frozen=True, slots=True)
class StreamsOf:
    """The streams of one workspace.

    Args:
        client: Calls Slack.
        team: The workspace.
        agent: Whether the app is an agent: then Slack shows a button that stops a stream, else ours begins it.
        clock: The time, in seconds.
        pace: The answers that grow there.
        refused: What Slack does not take there, and is not offered again: ``"stream"``, ``"steps"``, ``"buttons"``.
    """

    client: AsyncWebClient
    team: str
    agent: bool
    clock: Callable[[], float] = time.monotonic
    pace: Pace = field(default_factory=Pace)
    refused: set[str] = field(default_factory=set)

    def suit(self, growing: Growing, where: Streams) -> bool:
        """Whether an answer is streamed: in a thread, and not where a part of it stands already."""
        reply_to = growing.inbound.reply_to
        if where == "nowhere" or growing.shown or "stream" in self.refused or not reply_to.get("thread_ts"):
            return False
        return where == "everywhere" or (self.agent and is_dm(reply_to))


async def stop_stream(client: AsyncWebClient, channel: str, ts: str) -> None:
    """Let a stream be over, if it is not already: from then on its message is one like any other."""
    try:
        await client.chat_stopStream(channel=channel, ts=ts)
    except (SlackApiError, ClientError, OSError) as error:
        if error_code(error) not in OVER | STOPPED:
            _log.info("A stream in %s was not ended: %s", channel, error_code(error))
