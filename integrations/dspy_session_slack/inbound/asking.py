"""Questions that are asked by a command or a shortcut: said in the channel first, for all who read the answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime

from aiohttp import ClientError
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from dspy_session_chat.inbound import Author, Inbound
from dspy_session_slack.inbound.address import BotUser
from dspy_session_slack.inbound.translate import moment, place_of
from dspy_session_slack.key import is_dm, message_id
from dspy_session_slack.outbound.mrkdwn import escape
from dspy_session_slack.outbound.posting import HARMLESS, once
from dspy_session_slack.outbound.responding import RESPOND
from dspy_session_slack.refusals import error_code, refusal_to_post
from dspy_session_slack.workspace import Workspace

PATIENCE = 2.0
"""Seconds that Slack has to post the question: the command is acknowledged within three, or shown to have failed."""

SHOWN = 2_500
"""Characters of the question that are shown, before they are escaped; the agent reads all of it."""

NOT_THERE = frozenset({"channel_not_found", "not_in_channel"})


class NotAskedError(Exception):
    """The question could not be posted: one line for whoever asked."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question that is not said yet.

    Args:
        channel: Where it is asked.
        thread: The thread there that it belongs to; None if it begins one.
        author: Who asks.
        text: What they ask.
        about: What the agent reads besides: the message that they ask about.
        channel_name: The channel's name; empty in a DM.
        respond: The address at which Slack takes words for whoever asks alone.
    """

    channel: str
    thread: str | None
    author: Author
    text: str
    about: str = ""
    channel_name: str = ""
    respond: str = ""

    def unsaid(self, bot: BotUser, now: datetime) -> Inbound:
        """It, as if it were said: for whoever decides whether it shall be.

        Args:
            bot: Who is asked.
            now: The time.
        """
        return self.said_at(f"{now.timestamp():.6f}", bot)

    def said_at(self, ts: str, bot: BotUser) -> Inbound:
        """It, as what is to be answered.

        Args:
            ts: Slack's id of the message that says it.
            bot: Who is asked.
        """
        place = {"channel": self.channel, "ts": ts}
        if self.thread is not None:
            place["thread_ts"] = self.thread
        direct = is_dm(place)
        key, reply_to = place_of(place, bot)
        return Inbound(
            key=key,
            event_id=message_id(self.channel, ts),
            author=self.author,
            text=f"{self.text}\n\n{self.about}" if self.about else self.text,
            addressed="direct" if direct else "mention",
            sent_at=moment(ts),
            channel_name="" if direct else self.channel_name,
            reply_to={**reply_to, RESPOND: self.respond} if self.respond else reply_to,
        )


async def asked(workspace: Workspace, question: Question) -> Inbound:
    """Say a question in the channel, and what is to be answered.

    Args:
        workspace: Where.
        question: What is asked.

    Raises:
        NotAskedError: Slack did not post it.
    """
    ts = await _said(workspace.client, workspace.bot, question)
    inbound = question.said_at(ts, workspace.bot)
    if inbound.key.thread is not None:
        workspace.threads.join(question.channel, inbound.key.thread)
    return inbound


async def _said(client: AsyncWebClient, bot: BotUser, question: Question) -> str:
    lines = question.text[:SHOWN].split("\n")
    text = "\n".join([f"*{escape(question.author.name)}* asks:", *(f"> {escape(line)}" for line in lines)])
    try:
        async with asyncio.timeout(PATIENCE):
            answer = await client.chat_postMessage(
                channel=question.channel, thread_ts=question.thread, text=text, **HARMLESS, **once()
            )
    except (SlackApiError, ClientError, OSError) as error:
        if error_code(error) in NOT_THERE:
            raise NotAskedError(
                f"I am not in this conversation: write `/invite @{bot.name}` here, or ask me in a direct message."
            ) from None
        place = f"#{question.channel_name}" if question.channel_name else "here"  # nobody knows a channel by its id
        raise NotAskedError(f"I could not ask that here: {refusal_to_post(error, place)}") from None
    return str(answer["ts"])
