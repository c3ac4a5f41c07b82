"""Slack's view for agents: who opens the bot is greeted, and sees what it is at; where it is not to be had, nothing is.

There are two of them. Apps that are made today have the agent view: people open it (``app_home_opened``), each message
begins a thread, and tells what its author looks at. Older ones may have the assistant panel, where Slack begins the
thread (``assistant_thread_started``) and tells apart what people look at (``assistant_thread_context_changed``).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from aiohttp import ClientError
from cachetools import LRUCache
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from dspy_session.errors import ConfigurationError
from dspy_session_chat.action import Action, Command, Event
from dspy_session_chat.inbound import Author, Inbound
from dspy_session_chat.markup.cleaning import clean_line
from dspy_session_chat.platform import Receive
from dspy_session_slack.address import BotUser, is_id, is_time
from dspy_session_slack.assistant import Assistant, Opening
from dspy_session_slack.directory import Directory
from dspy_session_slack.harmless import harmless
from dspy_session_slack.key import inner_event, is_dm, message_id, place_of_message
from dspy_session_slack.mrkdwn import escape
from dspy_session_slack.posting import HARMLESS
from dspy_session_slack.refusals import error_code, is_passing
from dspy_session_slack.translate import place_of
from dspy_session_slack.viewing import channel_in, with_context

_log = logging.getLogger(__name__)

OPENED, STARTED, LOOKED, STOPPED = (
    "app_home_opened",
    "assistant_thread_started",
    "assistant_thread_context_changed",
    "agent_session_stopped",
)

Later = Callable[[Coroutine[Any, Any, None]], None]
"""Takes what is to be done besides."""

REMEMBERED = 10_000
"""Threads of the panel of which it is remembered what people look at, and which of them have no title yet."""

TITLE = 80
"""Characters of a thread's title."""

PATIENCE = 2.0
"""Seconds that a status, a title or a greeting may take: none of them is worth waiting for."""

_LASTING = frozenset({"missing_scope", "not_allowed_token_type", "unknown_method", "not_authorized", "access_denied"})
"""Refusals after which a method is not called any more: the app has no view for agents."""


class Panel:
    """The view in one workspace.

    Args:
        bot: Who is opened.
        client: Calls Slack.
        directory: What channels are called.
        now: The time.
    """

    def __init__(
        self,
        bot: BotUser,
        client: AsyncWebClient,
        directory: Directory,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._bot = bot
        self._client = client
        self._directory = directory
        self._now = now
        self._viewing: LRUCache[tuple[str, str], str] = LRUCache(REMEMBERED)
        self._untitled: LRUCache[tuple[str, str], None] = LRUCache(REMEMBERED)
        self._refused: set[str] = set()

    async def take(
        self, body: Mapping[str, Any], assistant: Assistant | None, receive: Receive, later: Later
    ) -> Mapping[str, Any]:
        """Take what happens in the view; the same body, which says of a message what its author looks at.

        Args:
            body: An event's.
            assistant: What people find there.
            receive: Takes an event over.
            later: Does what Slack need not wait for.

        Raises:
            SessionError: The bot could not take it.
        """
        event = inner_event(body)
        kind, thread = event.get("type"), event.get("assistant_thread")
        if kind == "message":
            return with_context(body, self._viewing.get((str(event.get("channel")), str(event.get("thread_ts"))), ""))
        if kind == OPENED and event.get("tab") == "messages" and is_id(event.get("channel")):
            later(self._greet(event["channel"], None, event.get("user"), event.get("context"), assistant))
        elif kind in (STARTED, LOOKED) and isinstance(thread, Mapping):
            channel, ts, context = thread.get("channel_id"), thread.get("thread_ts"), thread.get("context")
            if is_id(channel) and is_time(ts):
                self._viewing[channel, ts] = channel_in(context)
                if kind == STARTED:
                    self._untitled[channel, ts] = None
                    later(self._greet(channel, ts, thread.get("user_id"), context, assistant))
        elif kind == STOPPED:
            await self._stop(event, receive, later)
        return body

    @asynccontextmanager
    async def typing(self, inbound: Event, assistant: Assistant | None) -> AsyncIterator[None]:
        """Show that the bot is at work, and call the thread after its first message."""
        channel, thread = inbound.reply_to.get("channel"), inbound.reply_to.get("thread_ts")
        if not (self._bot.threads_dms and isinstance(channel, str) and isinstance(thread, str)):
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

    async def _begin(self, inbound: Event, channel: str, thread: str, thinking: str) -> None:
        await self.status(channel, thread, thinking)
        await self._name(inbound, channel, thread)

    async def _greet(
        self, channel: str, thread: str | None, user: object, context: object, assistant: Assistant | None
    ) -> None:
        """Greet whoever opens the bot; in the agent view above the prompts, for it is opened again and again."""
        if assistant is None:
            return
        viewing = channel_in(context)
        names = await self._directory.names([viewing]) if viewing else {}
        try:
            prompts = await assistant.suggested(Opening(str(user or ""), names.get(viewing, "")))
        except ConfigurationError as error:
            _log.warning("No prompts are suggested: %s", error)
            prompts = []
        except Exception:  # noqa: BLE001  # whatever a function of theirs raises
            _log.exception("No prompts are suggested: what was to tell them failed")
            prompts = []
        if thread is not None and assistant.greeting:
            await self._call(
                "greeting",
                lambda: self._client.chat_postMessage(
                    channel=channel, thread_ts=thread, text=escape(assistant.greeting), **HARMLESS
                ),
            )
        if prompts:
            title = clean_line(assistant.greeting, TITLE) if thread is None else ""
            await self._call(
                "assistant.threads.setSuggestedPrompts",
                lambda: self._client.assistant_threads_setSuggestedPrompts(
                    channel_id=channel, thread_ts=thread, prompts=prompts, title=title or None
                ),
            )

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

    async def _stop(self, event: Mapping[str, Any], receive: Receive, later: Later) -> None:
        """The button that Slack shows while an answer is streamed stops it."""
        channel, thread, user, at = (event.get(name) for name in ("channel", "thread_ts", "user", "event_ts"))
        if not (is_id(channel) and is_time(thread) and is_id(user) and is_time(at)):
            return
        place = {"channel": channel, "ts": thread, "thread_ts": thread}
        key, reply_to = place_of(place, self._bot)
        name = self._directory.known([user]).get(user) or user
        await receive(
            Action(
                key=key,
                event_id=f"stop:{message_id(channel, thread)}:{user}:{at}",
                author=Author(user, name, workspace=self._bot.team_id),
                sent_at=self._now(),
                deed=Command("stop"),
                reply_to=reply_to,
                direct=is_dm(place),
            )
        )
        later(self._rest(channel, thread))

    async def _rest(self, channel: str, thread: str) -> None:
        """Say that the bot is no longer at work: Slack shows it for an hour else, whatever was stopped."""
        session = {"channel_id": channel, "thread_ts": thread, "status": "active"}
        await self._call(
            "agents.sessions.setStatus", lambda: self._client.api_call("agents.sessions.setStatus", json=session)
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
