"""What people see of the bot in Slack's view for agents: a greeting, what they may ask, what it is at, and its threads'
names. Where the view is not to be had, nothing is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from aiohttp import ClientError
from cachetools import LRUCache
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from dspy_session_chat.action import Event
from dspy_session_chat.inbound import Inbound
from dspy_session_chat.markup.cleaning import clean_line
from dspy_session_slack.assistant import Assistant
from dspy_session_slack.key import is_dm, place_of_message
from dspy_session_slack.outbound.harmless import harmless
from dspy_session_slack.outbound.mrkdwn import escape
from dspy_session_slack.outbound.posting import HARMLESS
from dspy_session_slack.refusals import error_code, is_passing

_log = logging.getLogger(__name__)

REMEMBERED = 10_000
"""Threads of which it is remembered that they have no title yet."""

TITLE = 80
"""Characters of a thread's title."""

PATIENCE = 2.0
"""Seconds that a status, a title or a greeting may take: none of them is worth waiting for."""

_LASTING = frozenset({"missing_scope", "not_allowed_token_type", "unknown_method", "not_authorized", "access_denied"})
"""Refusals after which a method is not called any more: the app has no view for agents."""


class Panel:
    """The view in one workspace.

    Args:
        client: Calls Slack.
        threads_dms: Whether each message in a DM begins a thread: so the app is an agent.
    """

    def __init__(self, client: AsyncWebClient, *, threads_dms: bool) -> None:
        self._client = client
        self._threads_dms = threads_dms
        self._untitled: LRUCache[tuple[str, str], None] = LRUCache(REMEMBERED)
        self._refused: set[str] = set()

    @asynccontextmanager
    async def typing(self, inbound: Event, assistant: Assistant | None) -> AsyncIterator[None]:
        """Show that the bot is at work, and call the thread after its first message."""
        channel, thread = inbound.reply_to.get("channel"), inbound.reply_to.get("thread_ts")
        if not (self._threads_dms and isinstance(channel, str) and isinstance(thread, str)):
            yield
            return
        showing = asyncio.create_task(self._begin(inbound, channel, thread, (assistant or Assistant()).thinking))
        try:
            yield
        finally:
            showing.cancel()
            await asyncio.gather(showing, return_exceptions=True)

    async def status(self, channel: str, thread: str, text: str) -> None:
        """Say what the bot is at. What it posts takes that away again, and so do two minutes."""
        await self._call(
            "assistant.threads.setStatus",
            lambda: self._client.assistant_threads_setStatus(channel_id=channel, thread_ts=thread, status=text),
        )

    async def greet(self, channel: str, thread: str, greeting: str) -> None:
        """Say something in a thread that Slack began; nothing for an empty greeting."""
        if greeting:
            await self._call(
                "greeting",
                lambda: self._client.chat_postMessage(
                    channel=channel, thread_ts=thread, text=escape(greeting), **HARMLESS
                ),
            )

    def began(self, channel: str, thread: str) -> None:
        """Slack began a thread, which is called after what is asked first in it."""
        self._untitled[channel, thread] = None

    async def suggest(
        self, channel: str, thread: str | None, prompts: Sequence[dict[str, str]], heading: str = ""
    ) -> None:
        """Suggest what to ask.

        Args:
            channel: A DM.
            thread: The thread there; None for all of it.
            prompts: What to ask, as Slack takes it.
            heading: What stands above.
        """
        title = clean_line(heading, TITLE) or None
        await self._call(
            "assistant.threads.setSuggestedPrompts",
            lambda: self._client.assistant_threads_setSuggestedPrompts(
                channel_id=channel, thread_ts=thread, prompts=list(prompts), title=title
            ),
        )

    async def rest(self, channel: str, thread: str) -> None:
        """Say that the bot is no longer at work: Slack shows it for an hour else, whatever was stopped."""
        session = {"channel_id": channel, "thread_ts": thread, "status": "active"}
        await self._call(
            "agents.sessions.setStatus", lambda: self._client.api_call("agents.sessions.setStatus", json=session)
        )

    async def _begin(self, inbound: Event, channel: str, thread: str, thinking: str) -> None:
        await self.status(channel, thread, thinking)
        await self._name(inbound, channel, thread)

    async def _name(self, inbound: Event, channel: str, thread: str) -> None:
        """Call a thread after what was asked first in it."""
        if not isinstance(inbound, Inbound) or not is_dm({"channel": channel}):
            return
        _, ts = place_of_message(inbound.event_id)
        begun = (channel, thread) in self._untitled
        self._untitled.pop((channel, thread), None)
        title = clean_line(harmless(inbound.text), TITLE)
        if title and (begun or ts == thread):
            await self._call(
                "assistant.threads.setTitle",
                lambda: self._client.assistant_threads_setTitle(channel_id=channel, thread_ts=thread, title=title),
            )

    async def _call(self, method: str, call: Callable[[], Awaitable[object]]) -> None:
        """Call a method that nothing depends on."""
        if method in self._refused:
            return
        try:
            async with asyncio.timeout(PATIENCE):
                await call()
        except (SlackApiError, ClientError, OSError) as error:
            code = error_code(error)
            if not is_passing(error) and code in _LASTING:
                self._refused.add(method)
            _log.info("Slack did not take %s: %s", method, code)
