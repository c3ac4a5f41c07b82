"""What the page shows of every thread: read from the conversations once, then kept up to date as things happen.

A conversation does not know yet of the turn that runs in it, and yet the page must show that very turn. So a thread is
read before its first message goes to the bot, and from then on it hears what the bot hears and says. What is done to a
conversation without a word (a score, an undo, forgetting) is seen by looking at it again.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from dspy_session import SessionError
from dspy_session.conversation import Conversations, TurnEvent
from dspy_session_bots.playground import turn_log
from dspy_session_bots.playground.beneath import beneath, while_working
from dspy_session_bots.playground.exchange import Exchange, answer_id, message_in
from dspy_session_bots.playground.feed import Feed
from dspy_session_bots.playground.key import conversation_key, thread_of
from dspy_session_bots.playground.markdown import to_html
from dspy_session_bots.playground.shelf import Shelf
from dspy_session_bots.playground.thread import Changes, Look, Thread, title_of
from dspy_session_chat import Deletion, Edit, Event, Post, Reaction, ReplyFile
from dspy_session_chat.action import Deed
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
        shelf: Where the files of answers are put.
    """

    def __init__(self, conversations: Conversations, fields: AgentFields, feed: Feed, shelf: Shelf) -> None:
        self._conversations = conversations
        self._fields = fields
        self.feed = feed
        self._shelf = shelf
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
            opened = self._open.get(thread)
            if opened is None:
                opened = self._open[thread] = await self._read(thread)
            else:
                self._tell(thread, await self._agree(opened))
            self._open.move_to_end(thread)
            self._let_go()
            return opened

    async def _read(self, thread: str) -> Thread:
        try:
            state = await self._conversations.state(conversation_key(thread))
        except SessionError as error:
            return Thread(thread, trouble=str(error))
        return Thread.of_state(thread, state, self._fields)

    async def look_again(self, thread: str) -> bool:
        """See what was done to a thread's conversation, and tell the pages; False if nothing was."""
        async with self._reading:
            opened = self._open.get(thread)
            changes = Changes() if opened is None else await self._agree(opened)
            self._tell(thread, changes)
            if changes.gone_turns:  # somebody is forgotten, and they may have been in other threads as well
                for other in [other for other in self._open.values() if other is not opened]:
                    self._tell(other.id, await self._agree(other))
                for listed in self._listed.values():
                    listed["title"] = await self._title(listed["id"])
                    self.feed.publish("thread", listed)
            return bool(changes)

    async def _agree(self, opened: Thread) -> Changes:
        key, asked = conversation_key(opened.id), opened.known()
        try:
            remembered = (await self._conversations.state(key)).turns
            unseen = asked - {turn.id for turn in remembered}
            if unseen:
                unseen -= {turn.id for turn in await self._conversations.past_turns(key)}
        except SessionError:  # what is shown stays as it is; a new page says what is wrong
            return Changes()
        return opened.agree(Look(list(remembered), asked, unseen), self._fields)

    def _tell(self, thread: str, changes: Changes) -> None:
        for exchange in changes.exchanges:
            self.feed.publish("exchange", exchange.to_json(), thread)
        for line in changes.turns:
            self.feed.publish("turn", line, thread)
        if changes.gone or changes.gone_turns:
            self.feed.publish("gone", {"exchanges": list(changes.gone), "turns": list(changes.gone_turns)}, thread)

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

    def heard(self, event: Event, files: Sequence[dict[str, Any]] = ()) -> Exchange:
        """Something was written or done, in a thread that is open."""
        thread = self._open[str(event.key.thread)]
        exchange = Exchange.of_event(event, list(files))
        thread.add(exchange)
        self._show(thread, exchange)
        self._list(thread.id, event.sent_at.timestamp(), title_of(exchange.text))
        return exchange

    def done(self, thread: str, author: str, deed: Deed) -> bool:
        """Show a deed where it was done; False if its message is not there, or somebody else's."""
        opened = self._open[thread]
        match deed:
            case Reaction(emoji, message_id, added):
                exchange = opened.answered_in({message_id})
                if exchange is not None:
                    exchange.react(emoji, author, added=added)
            case Edit(message_id, text):
                exchange = self._own(opened, message_id, author)
                if exchange is not None:
                    exchange.text, exchange.edited = text, True
            case Deletion(message_id):
                exchange = self._own(opened, message_id, author)
                if exchange is not None:
                    exchange.text, exchange.files, exchange.deleted = "", [], True
            case _:
                return True
        if exchange is not None:
            self._show(opened, exchange)
        return exchange is not None

    def opened(self, thread: str, title: str, at: datetime) -> None:
        """A thread was opened beside another one."""
        self._list(thread, at.timestamp(), title_of(title) or "(empty)")

    def speakers(self, thread: str) -> dict[str, str]:
        """Who wrote in a thread that is open, by id: their names."""
        return {one.author: one.name for one in self._open[thread].exchanges if one.author}

    def working(self, event: Event, text: str = "", status: str = "") -> None:
        """The bot is writing its answer to ``event``: ``text`` so far."""
        thread = self._open.get(str(event.key.thread))
        if thread is not None:
            exchange = thread.exchange(event.event_id) or self.heard(event)  # it may be older than this program
            exchange.phase, exchange.html, exchange.status = "working", to_html(text), status
            exchange.beneath = while_working(event.event_id)
            self._show(thread, exchange)

    def answered(self, post: Post) -> str:
        """The bot has answered, by a turn or in words of its own; the answer's message id."""
        event, reply = post.inbound, post.reply
        thread = self._open.get(str(event.key.thread))
        begun = None if thread is None else thread.exchange(event.event_id)
        shown = None if thread is None else thread.answered_in(post.shown)
        message_id = shown.answer if shown is not None else answer_id(reply.turn_id or event.event_id)
        if thread is None:
            return message_id
        exchange = (
            shown or begun or next((one for one in thread.exchanges if reply.turn_id in (one.turn, one.id)), None)
        )
        exchange = exchange or self.heard(event)
        if begun is not None and begun is not exchange:  # its answer grew, and now stands where the old one stood
            self._settle(thread, begun)
        exchange.phase, exchange.html, exchange.status = (
            "answered" if reply.turn_id else "notice",
            to_html(reply.text),
            "",
        )
        exchange.turn, exchange.answer = reply.turn_id or exchange.turn, message_id
        exchange.beneath, exchange.verdicts = beneath(reply, self._keep), {}
        self._show(thread, exchange)
        return message_id

    def recorded(self, event: TurnEvent) -> None:
        """A turn was committed."""
        thread = self._open.get(thread_of(event.key) or "")
        if thread is not None:
            message = message_in(event.turn, self._fields)
            entry = turn_log.entry(event.turn, message, event.model)
            if thread.log(entry):
                self.feed.publish("turn", entry, thread.id)
                self._list(thread.id, event.occurred_at.timestamp(), title_of(message))
            exchange = thread.exchange(event.event_id)
            if exchange is not None and event.turn.stopped:
                exchange.stopped = event.turn.stopped
                self._show(thread, exchange)

    def _settle(self, thread: Thread, begun: Exchange) -> None:
        if begun.deed:
            thread.exchanges.remove(begun)
            self.feed.publish("gone", {"exchanges": [begun.id], "turns": []}, thread.id)
        else:
            begun.phase, begun.html, begun.status, begun.beneath = "quiet", "", "", {}
            self._show(thread, begun)

    def _keep(self, file: ReplyFile) -> dict[str, Any]:
        return self._shelf.put(file.name, file.media_type, file.data).to_json()

    def _own(self, thread: Thread, message_id: str, author: str) -> Exchange | None:
        exchange = thread.exchange(message_id)
        return exchange if exchange is not None and exchange.author == author and not exchange.deed else None

    def _show(self, thread: Thread, exchange: Exchange) -> None:
        self.feed.publish("exchange", exchange.to_json(), thread.id)

    def _list(self, thread: str, at: float, title: str) -> None:
        """Put a thread on top of the list; the title that it has it keeps."""
        listed = self._listed.setdefault(thread, {"id": thread, "title": title, "at": at})
        listed["at"] = at
        self.feed.publish("thread", listed)
