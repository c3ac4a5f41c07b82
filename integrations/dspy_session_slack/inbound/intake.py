"""The way of one event from Slack to the bot: what it is, has it come before, who did it; and in order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any
from weakref import WeakValueDictionary

from cachetools import LRUCache

from dspy_session_chat.action import Event
from dspy_session_chat.inbound import Addressed
from dspy_session_chat.platform import Receive
from dspy_session_slack.inbound.address import Ignored, address, author_id, is_from_bot
from dspy_session_slack.inbound.changes import CHANGED, DELETED, Change, change_of, translate_change
from dspy_session_slack.inbound.reactions import ADDED, REMOVED, reaction_of
from dspy_session_slack.inbound.translate import named_in, place_of, told_name, translate
from dspy_session_slack.key import conversation_key, inner_event, message_id, thread_ts
from dspy_session_slack.workspace import Workspace

_log = logging.getLogger(__name__)

REMEMBERED = 10_000
"""Events whose twins and repetitions are recognised: minutes of a busy workspace. What comes later is for the bot's
own, durable memory to recognise, by the same event id."""


class Intake:
    """Hands over what people write and do: each once, what belongs to a conversation in order.

    What is said among people costs neither a call of Slack's API nor a place in memory; only of a reply in a thread
    Slack is asked, once for each thread, whether the bot is in it.

    Args:
        workspace: Where.
        receive: Takes an event over.
        by_name: Whether the bot behaves otherwise in channels of some names: then those names have to be known.
    """

    def __init__(self, workspace: Workspace, receive: Receive, *, by_name: bool = False) -> None:
        self._bot = workspace.bot
        self._threads = workspace.threads
        self._directory = workspace.directory
        self._receive = receive
        self._by_name = by_name
        self._taken: LRUCache[str, None] = LRUCache(REMEMBERED)
        self._queues: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def take(self, body: Mapping[str, Any]) -> None:
        """Take one event in; once this returns, Slack may forget it.

        Raises:
            PlatformError: Slack does not say for now whether the event is for us; it has to come again.
        """
        event = inner_event(body)
        if event.get("type") in (ADDED, REMOVED):
            ignored = await self._take_reaction(event)
        elif event.get("type") == "message" and event.get("subtype") in (CHANGED, DELETED):
            ignored = await self._take_change(event)
        else:
            ignored = await self._take_message(body, event)
        if ignored is not None:
            _log.debug("Ignored a Slack event: %s", ignored.reason)

    async def _take_message(self, body: Mapping[str, Any], event: Mapping[str, Any]) -> Ignored | None:
        addressed = address(event, self._bot)
        if isinstance(addressed, Ignored):
            return addressed
        if name := told_name(event):
            self._directory.learn(author_id(event), name)
        if addressed == "ambient":
            await self._receive(translate(body, addressed, self._bot, await self._overheard(event)))
            return None
        # Looking names and threads up takes time, and the next message of the conversation may need none of it.
        async with self._queue(str(conversation_key(body, workspace=self._bot.team_id))):
            await self._take_addressed(body, event, addressed)
        return None

    async def _take_addressed(self, body: Mapping[str, Any], event: Mapping[str, Any], addressed: Addressed) -> None:
        channel, ts = event["channel"], event["ts"]
        this = message_id(channel, ts)
        if this in self._taken:
            return
        if addressed == "thread" and not await self._threads.includes(event, self._bot):
            await self._receive(translate(body, "ambient", self._bot, await self._overheard(event)))
            return
        if addressed == "mention" and not is_from_bot(event):
            self._threads.join(channel, thread_ts(event) or ts)
        names = await self._directory.names(named_in(event, self._bot))
        await self._receive(translate(body, addressed, self._bot, names))
        self._taken[this] = None

    async def _take_reaction(self, event: Mapping[str, Any]) -> Ignored | None:
        user = event.get("user")
        action = reaction_of(event, self._bot, self._directory.known([user] if isinstance(user, str) else []))
        if isinstance(action, Ignored):
            return action
        await self._hand_over(action)
        return None

    async def _take_change(self, event: Mapping[str, Any]) -> Ignored | None:
        change = change_of(event, self._bot)
        if isinstance(change, Ignored):
            return change
        key, _ = place_of(change.message, self._bot)
        async with self._queue(str(key)):
            named = named_in(change.message, self._bot)
            ask = not change.gone and self._is_followed(change)
            names = await self._directory.names(named) if ask else self._directory.known(named)
            await self._hand_over(translate_change(change, self._bot, names))
        return None

    async def _hand_over(self, event: Event) -> None:
        """Hand an event over, unless it has been already."""
        if event.event_id not in self._taken:
            await self._receive(event)
            self._taken[event.event_id] = None

    def _is_followed(self, change: Change) -> bool:
        """Whether a message was said to the bot, as far as is known without asking Slack."""
        addressed = address(change.message, self._bot)
        if addressed == "thread":
            return self._threads.remembers(change.message["channel"], change.message["thread_ts"])
        return addressed in ("direct", "mention")

    def _queue(self, key: str) -> asyncio.Lock:
        return self._queues.setdefault(key, asyncio.Lock())

    async def _overheard(self, message: Mapping[str, Any]) -> dict[str, str]:
        """What is known of the names in a message that is said among people."""
        if self._by_name:
            await self._directory.names([message["channel"]])
        return self._directory.known(named_in(message, self._bot))
