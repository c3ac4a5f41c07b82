"""A thread beside the one that somebody is in: a new message in the channel, for people to reply to."""

from __future__ import annotations

import logging

from aiohttp import ClientError
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from dspy_session.conversation.key import ConversationKey
from dspy_session_chat.action import Event
from dspy_session_chat.markup.cleaning import as_text
from dspy_session_chat.platform import Opened
from dspy_session_slack.home import Home
from dspy_session_slack.inbound.threads import Threads
from dspy_session_slack.key import PLATFORM
from dspy_session_slack.outbound.harmless import harmless
from dspy_session_slack.outbound.mrkdwn import escape
from dspy_session_slack.outbound.posting import HARMLESS
from dspy_session_slack.refusals import error_code, refusal_to_post

_log = logging.getLogger(__name__)

TITLE = 250
"""Characters of a thread's title; it is a line, not a message."""

UNTITLED = "A new thread"


async def open_thread(client: AsyncWebClient, threads: Threads, inbound: Event, title: str) -> Opened:
    """Open a thread in the channel of ``inbound``.

    Args:
        client: Calls Slack.
        threads: Hears that the bot is in it.
        inbound: Where somebody is.
        title: What the thread is about.

    Raises:
        PlatformError: Slack refused it or could not be reached.
    """
    channel = inbound.reply_to["channel"]
    text = escape(harmless(" ".join(title.split())[:TITLE])) or UNTITLED
    try:
        answer = await client.chat_postMessage(channel=channel, text=text, **HARMLESS)
    except (SlackApiError, ClientError, OSError) as error:
        # People read it, and know no channel by its id.
        raise refusal_to_post(error, f"#{inbound.channel_name}" if inbound.channel_name else "here") from None
    ts = answer["ts"]
    threads.join(channel, ts)
    return Opened(
        key=ConversationKey(PLATFORM, inbound.key.workspace, channel, ts),
        reply_to=Home.of(inbound).marked({"channel": channel, "thread_ts": ts}),
        link=await _link(client, channel, ts, title),
    )


async def _link(client: AsyncWebClient, channel: str, ts: str, title: str) -> str:
    """A link to a thread that says what it is about: its address is made of ids."""
    try:
        address = (await client.chat_getPermalink(channel=channel, message_ts=ts))["permalink"]
        return f"[{as_text(harmless(title)) or UNTITLED}]({address})"
    except (SlackApiError, ClientError, OSError) as error:
        _log.info("Slack does not tell the address of a thread: %s", error_code(error))
        return ""
