"""What people do in Slack's view for agents: they open it, look at a channel beside it, and stop an answer.

There are two of them. Apps that are made today have the agent view: people open it (``app_home_opened``), each message
begins a thread, and tells what its author looks at. Older ones may have the assistant panel, where Slack begins the
thread (``assistant_thread_started``) and tells apart what people look at (``assistant_thread_context_changed``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from typing import Any

from dspy_session.errors import ConfigurationError
from dspy_session_chat.action import Action, Command
from dspy_session_chat.inbound import Author
from dspy_session_chat.platform import Receive
from dspy_session_slack.assistant import Assistant, Opening
from dspy_session_slack.inbound.address import is_id, is_time
from dspy_session_slack.inbound.translate import place_of
from dspy_session_slack.inbound.viewing import channel_in, viewed, with_context
from dspy_session_slack.inbound.viewings import Viewings
from dspy_session_slack.key import inner_event, is_dm, message_id
from dspy_session_slack.outbound.harmless import harmless, like_ids
from dspy_session_slack.told import Told
from dspy_session_slack.unnamed import unnamed
from dspy_session_slack.workspace import Workspace

_log = logging.getLogger(__name__)

OPENED, STARTED, LOOKED, STOPPED = (
    "app_home_opened",
    "assistant_thread_started",
    "assistant_thread_context_changed",
    "agent_session_stopped",
)

Later = Callable[[Coroutine[Any, Any, None]], None]
"""Takes what is to be done besides."""


class Visits:
    """Takes what people do in the view.

    Args:
        workspace: Where.
        receive: Takes an event over.
        told: What the platform was told.
        later: Does what Slack need not wait for.
        now: The time.
    """

    def __init__(
        self,
        workspace: Workspace,
        receive: Receive,
        told: Told,
        later: Later,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._workspace = workspace
        self._receive = receive
        self._assistant = told.assistant
        self._later = later
        self._now = now
        self._viewings = Viewings(workspace.bot.team_id, told.vault)

    async def take(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Take what happens in the view; the same body, which says of a message what its author looks at.

        Args:
            body: An event's.

        Raises:
            SessionError: The bot could not take it.
        """
        event = inner_event(body)
        kind, thread = event.get("type"), event.get("assistant_thread")
        if kind == "message":
            return with_context(body, await self._viewed_beside(event))
        if kind == OPENED and event.get("tab") == "messages" and is_id(event.get("channel")):
            self._later(self._greet(event["channel"], None, event.get("user"), event.get("context")))
        elif kind in (STARTED, LOOKED) and isinstance(thread, Mapping):
            channel, ts, context = thread.get("channel_id"), thread.get("thread_ts"), thread.get("context")
            if is_id(channel) and is_time(ts):
                await self._viewings.keep(channel, ts, channel_in(context))
                if kind == STARTED:
                    self._workspace.panel.began(channel, ts)
                    self._later(self._greet(channel, ts, thread.get("user_id"), context))
        elif kind == STOPPED:
            await self._stop(event)
        return body

    async def _viewed_beside(self, message: Mapping[str, Any]) -> str:
        """The channel that the author of a message looks at, where Slack told that before."""
        channel, thread = message.get("channel"), message.get("thread_ts")
        if viewed(message) or not (self._workspace.bot.threads_dms and is_dm(message)):
            return ""
        return await self._viewings.at(channel, thread) if is_id(channel) and is_time(thread) else ""

    async def _greet(self, channel: str, thread: str | None, user: object, context: object) -> None:
        """Greet whoever opens the bot; in the agent view above the prompts, for it is opened again and again."""
        assistant, panel = self._assistant, self._workspace.panel
        if assistant is None:
            return
        prompts = await self._suggested(assistant, user, channel_in(context))
        if thread is not None:
            await panel.greet(channel, thread, assistant.greeting)
        if prompts:
            await panel.suggest(channel, thread, prompts, assistant.greeting if thread is None else "")

    async def _suggested(self, assistant: Assistant, user: object, viewing: str) -> list[dict[str, str]]:
        """What somebody may ask by a click; nothing where whoever is to tell that does not."""
        names = await self._workspace.directory.names([viewing]) if viewing else {}
        try:
            prompts = await assistant.suggested(Opening(str(user or ""), names.get(viewing, "")))
        except ConfigurationError as error:
            _log.warning("No prompts are suggested: %s", error)
        except Exception:  # noqa: BLE001  # whatever a function of theirs raises
            _log.exception("No prompts are suggested: what was to tell them failed")
        else:  # an agent may have thought of them
            return [{part: self._harmless(words) for part, words in each.items()} for each in prompts]
        return []

    def _harmless(self, words: str) -> str:
        return harmless(words, self._workspace.directory.known(like_ids(words)))

    async def _stop(self, event: Mapping[str, Any]) -> None:
        """The button that Slack shows while an answer is streamed stops it."""
        channel, thread, user, at = (event.get(name) for name in ("channel", "thread_ts", "user", "event_ts"))
        if not (is_id(channel) and is_time(thread) and is_id(user) and is_time(at)):
            return
        bot, place = self._workspace.bot, {"channel": channel, "ts": thread, "thread_ts": thread}
        key, reply_to = place_of(place, bot)
        name = self._workspace.directory.known([user]).get(user) or unnamed(user)
        await self._receive(
            Action(
                key=key,
                event_id=f"stop:{message_id(channel, thread)}:{user}:{at}",
                author=Author(user, name, workspace=bot.team_id),
                sent_at=self._now(),
                deed=Command("stop"),
                reply_to=reply_to,
                direct=is_dm(place),
            )
        )
        self._later(self._workspace.panel.rest(channel, thread))
