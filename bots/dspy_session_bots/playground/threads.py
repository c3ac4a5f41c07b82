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
from dspy_session.conversation.replaying import events_of
from dspy_session.conversation.restoring import past_turns
from dspy_session.stores import Inbox
from dspy_session_bots.playground import turn_log
from dspy_session_bots.playground.exchange import Exchange, message_in
from dspy_session_bots.playground.feed import Feed
from dspy_session_bots.playground.key import conversation_key, place_of, thread_of
from dspy_session_bots.playground.thread import Changes, Look, Thread, title_of
from dspy_session_chat import Deletion, Edit, Event, Reaction
from dspy_session_chat.action import Deed
from dspy_session_chat.fields import AgentFields

LISTED = 100
"""Threads in the list, the newest: for its title each of them has to be read."""
UNNAMED = "(empty)"
"""What a thread is called that has no words in it."""
KEPT_OPEN = 50
"""Threads that stay in memory while nothing happens in them."""


class Threads:
    """Every thread, as the page shows it.

    Args:
        conversations: Where threads are read from.
        fields: Which of the agent's fields are message and answer.
        feed: Told of every change.
        buttons: Whether there are buttons under answers.
    """

    def __init__(self, conversations: Conversations, fields: AgentFields, feed: Feed, *, buttons: bool = True) -> None:
        self._conversations = conversations
        self._fields = fields
        self.feed = feed
        self.buttons = buttons
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
                if title:
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
        return Thread.of_state(thread, state, self._fields, await self._told(thread), buttons=self.buttons)

    async def _told(self, thread: str) -> dict[str, TurnEvent]:
        """What was told of the turns of a thread: who wrote the message, and which model answered."""
        key = str(conversation_key(thread))
        try:
            entries = [entry async for entry in self._conversations.store.entries(key)]
            events = list(events_of(key, entries))
        except SessionError:  # the turns themselves can be read, and that is what counts
            return {}
        return {event.turn.id: event for event in events if isinstance(event, TurnEvent)}

    async def at_hand(self, thread: str) -> Thread:
        """A thread as it is shown, without a look at its conversation if it is open already."""
        return self._open.get(thread) or await self.open(thread)

    def known(self, thread: str) -> Thread | None:
        """The thread, if it is open."""
        return self._open.get(thread)

    async def settle(self, thread: str) -> bool:
        """See which messages the bot will not answer by themselves: it left them out, or has answered them together
        with another one. False if there are none.
        """
        opened, inbox = self._open.get(thread), self._conversations.store
        if opened is None or not isinstance(inbox, Inbox) or not opened.waiting:
            return False
        pending = {arrival.event_id for arrival in await inbox.pending(str(conversation_key(thread)))}
        left = [exchange for exchange in opened.waiting if exchange.id not in pending]
        for exchange in left:
            exchange.phase, exchange.beneath = "quiet", {}
            self.show(opened, exchange)
        return bool(left)

    async def look_again(self, thread: str) -> bool:
        """See what was done to a thread's conversation, and tell the pages; False if nothing was."""
        async with self._reading:
            opened = self._open.get(thread)
            changes = Changes() if opened is None else await self._agree(opened)
            self._tell(thread, changes)
            if changes.gone_turns:  # somebody is forgotten, and they may have been in other threads as well
                for other in [other for other in self._open.values() if other is not opened]:
                    self._tell(other.id, await self._agree(other))
                for listed in list(self._listed.values()):
                    self._name_anew(listed, await self._title(listed["id"]))
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
        return opened.agree(Look(list(remembered), asked, unseen), self._fields, buttons=self.buttons)

    def _tell(self, thread: str, changes: Changes) -> None:
        for exchange in changes.exchanges:
            self.feed.publish("exchange", exchange.to_json(), thread)
        for line in changes.turns:
            self.feed.publish("turn", line, thread)
        if changes.gone or changes.gone_turns:
            self.feed.publish("gone", {"exchanges": list(changes.gone), "turns": list(changes.gone_turns)}, thread)

    async def _title(self, thread: str) -> str:
        """What a thread is called: by its first message, a fork by the last one that came with it. Empty when nothing
        is left in it.
        """
        key = conversation_key(thread)
        try:
            turns = (await self._conversations.state(key)).turns or await self._conversations.past_turns(key)
            brought = await self._brought_along(str(key))
        except SessionError:
            return "(cannot be read)"
        origin = next((turn for turn in reversed(turns) if turn.id in brought), None)
        if origin is not None:
            return title_of(f"From: {message_in(origin, self._fields)}")
        return (title_of(message_in(turns[0], self._fields)) or UNNAMED) if turns else ""

    async def _brought_along(self, key: str) -> frozenset[str]:
        """Ids of the turns that a fork began with; none for a conversation that is no fork."""
        entries = [entry async for entry in self._conversations.store.entries(key)]
        forks = [number for number, entry in enumerate(entries) if entry.kind == "forked"]
        return frozenset(turn.id for turn in past_turns(entries[: forks[-1]], key)) if forks else frozenset()

    def _name_anew(self, listed: dict[str, Any], title: str) -> None:
        """Call a thread by what is left in it, or list it no more."""
        opened = self._open.get(listed["id"])
        if title or (opened is not None and opened.busy):
            listed["title"] = title or UNNAMED
            self.feed.publish("thread", listed)
        else:
            del self._listed[listed["id"]]
            self.feed.publish("unlisted", {"id": listed["id"]})

    def _let_go(self) -> None:
        """Drop what was not looked at for longest, but for threads with an answer still to come."""
        for thread, opened in list(self._open.items())[:-KEPT_OPEN]:
            if not opened.busy:
                del self._open[thread]

    # --- what happens ---------------------------------------------------------------------------------------------

    def heard(self, event: Event, files: Sequence[dict[str, Any]] = ()) -> Exchange:
        """Something was written or done, in a thread that is open."""
        thread = self._open[place_of(event)]
        exchange = Exchange.of_event(event, list(files))
        thread.add(exchange)
        self.show(thread, exchange)
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
            self.show(opened, exchange)
        return exchange is not None

    def opened(self, thread: str, title: str, at: datetime) -> None:
        """A thread was opened beside another one."""
        self._list(thread, at.timestamp(), title_of(title) or UNNAMED)

    def speakers(self, thread: str) -> dict[str, str]:
        """Who wrote in a thread that is open, by id: their names."""
        return {one.author: one.name for one in self._open[thread].exchanges if one.author}

    def recorded(self, event: TurnEvent) -> None:
        """A turn was committed."""
        thread = self.known(thread_of(event.key) or "")
        if thread is not None:
            message = message_in(event.turn, self._fields)
            entry = turn_log.entry(event.turn, message, event.model)
            if thread.log(entry):
                self.feed.publish("turn", entry, thread.id)
                self._list(thread.id, event.occurred_at.timestamp(), title_of(message))
            exchange = thread.exchange(event.event_id)
            if exchange is not None and event.turn.stopped:
                exchange.stopped = event.turn.stopped
                self.show(thread, exchange)

    def drop(self, thread: Thread, exchange: Exchange) -> None:
        """Show an exchange no more whose answer stands elsewhere; a message stays."""
        if exchange.deed:
            thread.exchanges.remove(exchange)
            self.feed.publish("gone", {"exchanges": [exchange.id], "turns": []}, thread.id)
        else:
            exchange.phase, exchange.html, exchange.status, exchange.beneath = "quiet", "", "", {}
            self.show(thread, exchange)

    def show(self, thread: Thread, exchange: Exchange) -> None:
        """Tell the pages of a thread how an exchange is now."""
        self.feed.publish("exchange", exchange.to_json(), thread.id)

    def _own(self, thread: Thread, message_id: str, author: str) -> Exchange | None:
        exchange = thread.exchange(message_id)
        return exchange if exchange is not None and exchange.author == author and not exchange.deed else None

    def _list(self, thread: str, at: float, title: str) -> None:
        """Put a thread on top of the list; the title that it has it keeps."""
        listed = self._listed.setdefault(thread, {"id": thread, "title": title, "at": at})
        listed["at"] = at
        self.feed.publish("thread", listed)
