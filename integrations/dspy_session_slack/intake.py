"""The way of one event from Slack to the bot: is it for us, has it come before, who wrote it; and in order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any
from weakref import WeakValueDictionary

from cachetools import LRUCache

from dspy_session_chat.inbound import Addressed
from dspy_session_chat.platform import Receive
from dspy_session_slack.address import BotUser, Ignored, address
from dspy_session_slack.directory import Directory
from dspy_session_slack.key import conversation_key, inner_event, is_dm, message_id, thread_ts
from dspy_session_slack.plaintext import mentions
from dspy_session_slack.threads import Threads
from dspy_session_slack.translate import translate

_log = logging.getLogger(__name__)

REMEMBERED = 10_000
"""Messages whose twins and repetitions are recognised: minutes of a busy workspace. What comes later is for the bot's
own, durable memory to recognise, by the same event id."""


class Intake:
    """Hands the messages that are for the bot to ``receive``: each once, those of a conversation in order.

    Args:
        bot: Who is listening.
        threads: Which threads the bot is in.
        directory: What people are called.
        receive: Takes a message over.
    """

    def __init__(self, bot: BotUser, threads: Threads, directory: Directory, receive: Receive) -> None:
        self._bot = bot
        self._threads = threads
        self._directory = directory
        self._receive = receive
        self._taken: LRUCache[str, None] = LRUCache(REMEMBERED)
        self._queues: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def take(self, body: Mapping[str, Any]) -> None:
        """Take one event in; once this returns, Slack may forget it.

        Raises:
            PlatformError: Slack does not say for now whether the event is for us; it has to come again.
        """
        event = inner_event(body)
        addressed = address(event, self._bot)
        if isinstance(addressed, Ignored):
            _log.debug("Ignored a Slack event: %s", addressed.reason)
            return
        # Looking names and threads up takes time, and the next message of the conversation may need none of it.
        key = str(conversation_key(body, workspace=self._bot.team_id))
        queue = self._queues.setdefault(key, asyncio.Lock())
        async with queue:
            await self._take(body, event, addressed)

    async def _take(self, body: Mapping[str, Any], event: Mapping[str, Any], addressed: Addressed) -> None:
        channel, ts = event["channel"], event["ts"]
        this = message_id(channel, ts)
        if this in self._taken:
            return
        if addressed == "thread" and not await self._threads.includes(event, self._bot):
            _log.debug("Ignored a Slack event: in a thread that the bot is not in")
            return
        if addressed == "mention":
            self._threads.join(channel, thread_ts(event) or ts)
        names = await self._directory.names(self._named(event))
        await self._receive(translate(body, addressed, self._bot, names))
        self._taken[this] = None

    def _named(self, event: Mapping[str, Any]) -> list[str]:
        """The ids in ``event`` that people know by name, the ones that matter most first."""
        mentioned = [user for user in mentions(event.get("text") or "") if user != self._bot.user_id]
        return [event["user"], *([] if is_dm(event) else [event["channel"]]), *mentioned]
