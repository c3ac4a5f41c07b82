"""What the page shows of every thread: read from the conversations once, then kept up to date as things happen.

The page cannot ask a conversation while a turn runs in it (it would wait for the end of that turn), and yet it must
show that very turn. So a thread is read before its first message goes to the bot, and from then on it hears what the
bot hears and says.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import asdict
from typing import Any

from dspy_session import SessionError
from dspy_session.conversation import Conversations, TurnEvent
from dspy_session_bots.playground import turn_log
from dspy_session_bots.playground.feed import Feed
from dspy_session_bots.playground.key import conversation_key, thread_of
from dspy_session_bots.playground.markdown import to_html
from dspy_session_bots.playground.thread import SHOWN, Exchange, Thread, message_in, title_of
from dspy_session_chat import Inbound
from dspy_session_chat.fields import AgentFields

LISTED = 100
"""Threads in the list, the newest: for its title each of them has to be read."""
KEPT_OPEN = 50
"""Threads that stay in memory while nothing happens in them."""


class Threads:
    """Every thread, as the page shows it.

    Args:
        conversations: Where threads are read from.
        fields: Which of the agent's fields are message and answer.
        feed: Told of every change.
    """

    def __init__(self, conversations: Conversations, fields: AgentFields, feed: Feed) -> None:
        self._conversations = conversations
        self._fields = fields
        self.feed = feed
        self._listed: dict[str, dict[str, Any]] = {}
        self._open: OrderedDict[str, Thread] = OrderedDict()
        self._reading = asyncio.Lock()

    # --- what there is --------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Read the list; called once, before anything else.

        Raises:
            StoreError: The store cannot be read.
        """
        for conversation in await self._conversations.list():
            thread = thread_of(conversation.key)
            if thread is not None:
                title = await self._title(thread)
                self._listed[thread] = {"id": thread, "title": title, "at": conversation.updated_at}
            if len(self._listed) == LISTED:
                return

    def list(self) -> list[dict[str, Any]]:
        """The threads, the one that was last used first."""
        return sorted(self._listed.values(), key=lambda listed: -listed["at"])[:LISTED]

    async def open(self, thread: str) -> Thread:
        """A thread; an empty one when nothing was said in it."""
        async with self._reading:
            opened = self._open.get(thread) or await self._read(thread)
            self._open[thread] = opened
            self._open.move_to_end(thread)
            self._let_go()
            return opened

    async def _read(self, thread: str) -> Thread:
        try:
            state = await self._conversations.state(conversation_key(thread))
        except SessionError as error:
            return Thread(thread, trouble=str(error))
        return Thread.of_state(thread, state, self._fields)

    async def _title(self, thread: str) -> str:
        try:
            state = await self._conversations.state(conversation_key(thread))
        except SessionError:
            return "(cannot be read)"
        return title_of(message_in(state.turns[0], self._fields)) if state.turns else "(empty)"

    def _let_go(self) -> None:
        """Drop what was not looked at for longest, but for threads with an answer still to come."""
        for thread, opened in list(self._open.items())[:-KEPT_OPEN]:
            if not opened.busy:
                del self._open[thread]

    # --- what happens ---------------------------------------------------------------------------------------------

    def heard(self, inbound: Inbound) -> None:
        """A message was written, in a thread that is open."""
        thread = self._open[str(inbound.key.thread)]
        exchange = Exchange(inbound.event_id, inbound.text, inbound.sent_at.timestamp())
        thread.exchanges.append(exchange)
        del thread.exchanges[:-SHOWN]
        self._show(thread, exchange)
        self._list(thread.id, inbound.sent_at.timestamp(), title_of(inbound.text))

    def working(self, inbound: Inbound, text: str = "", status: str = "") -> None:
        """The bot is writing its answer to ``inbound``: ``text`` so far."""
        thread, exchange = self._find(inbound)
        if thread is not None and exchange is None:  # it was said before the program began
            self.heard(inbound)
            thread, exchange = self._find(inbound)
        if thread is not None and exchange is not None:
            exchange.phase, exchange.html, exchange.status = "working", to_html(text), status
            self._show(thread, exchange)

    def answered(self, inbound: Inbound, text: str, turn_id: str) -> None:
        """The bot has answered ``inbound``, by a turn, or in words of its own when ``turn_id`` is empty."""
        thread, exchange = self._find(inbound)
        if thread is not None and exchange is None and not any(turn_id == shown.turn for shown in thread.exchanges):
            self.heard(inbound)
            thread, exchange = self._find(inbound)
        if thread is not None and exchange is not None:
            exchange.phase, exchange.html, exchange.status = "answered" if turn_id else "notice", to_html(text), ""
            exchange.turn = turn_id
            self._show(thread, exchange)

    def recorded(self, event: TurnEvent) -> None:
        """A turn was committed."""
        thread = self._open.get(thread_of(event.key) or "")
        if thread is not None:
            message = message_in(event.turn, self._fields)
            entry = turn_log.entry(event.turn, message, event.model)
            if thread.log(entry):
                self.feed.publish("turn", entry, thread.id)
                self._list(thread.id, event.occurred_at.timestamp(), title_of(message))

    def _find(self, inbound: Inbound) -> tuple[Thread | None, Exchange | None]:
        thread = self._open.get(str(inbound.key.thread))
        return thread, None if thread is None else thread.exchange(inbound.event_id)

    def _show(self, thread: Thread, exchange: Exchange) -> None:
        self.feed.publish("exchange", asdict(exchange), thread.id)

    def _list(self, thread: str, at: float, title: str) -> None:
        """Put a thread on top of the list; the title that it has it keeps."""
        listed = self._listed.setdefault(thread, {"id": thread, "title": title, "at": at})
        listed["at"] = at
        self.feed.publish("thread", listed)
