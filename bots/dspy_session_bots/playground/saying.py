"""What the bot says, and where on the page it stands.

An event has one answer, which may grow before it is whole. What is posted while it grows (a question that the agent
asks before it goes on) stands aside, as a message of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dspy_session.errors import PlatformError
from dspy_session_bots.playground.beneath import beneath, under_message, while_working
from dspy_session_bots.playground.exchange import Exchange, answer_id
from dspy_session_bots.playground.key import place_of
from dspy_session_bots.playground.markdown import to_html
from dspy_session_bots.playground.shelf import Shelf
from dspy_session_bots.playground.thread import Thread
from dspy_session_bots.playground.threads import Threads
from dspy_session_chat import Button, Event, Post, Reply, ReplyFile
from dspy_session_chat.markup.unfinished import finished


class Saying:
    """Shows what the bot says.

    Args:
        threads: Where.
        shelf: Where the files of answers are put.
    """

    def __init__(self, threads: Threads, shelf: Shelf) -> None:
        self._threads = threads
        self._shelf = shelf

    async def begin(self, event: Event) -> None:
        """The bot begins to write its answer, and calls ``grow`` as it goes on."""
        thread, exchange = await self._place(event)
        exchange.streaming = True
        self._work(thread, exchange, "", "")

    def grow(self, event: Event, text: str, status: str) -> None:
        """The answer that was begun has become longer."""
        thread, exchange = self._known(event)
        if thread is not None and exchange is not None:
            self._work(thread, exchange, finished(text), status)

    def end(self, event: Event) -> None:
        """The answer that was begun is as it will be posted."""
        _, exchange = self._known(event)
        if exchange is not None:
            exchange.streaming = False

    async def put(self, event: Event, text: str, buttons: Sequence[Button]) -> str:
        """Show a message more of which is to come; its id."""
        thread, exchange = await self._place(event)
        self._work(thread, exchange, text, "")
        exchange.answer, exchange.beneath = answer_id(event.event_id), under_message(buttons)
        self._threads.show(thread, exchange)
        return exchange.answer

    async def change(self, event: Event, message_id: str, text: str, buttons: Sequence[Button]) -> None:
        """Let a message of the bot's say something else.

        Raises:
            PlatformError: There is no such message.
        """
        thread, _ = await self._place(event)
        exchange = thread.answered_in({message_id})
        if exchange is None:
            raise PlatformError(f"the playground shows no message {message_id} any more")
        aside = exchange.aside(message_id)
        if aside is None:
            exchange.html, exchange.beneath = to_html(text), exchange.beneath | {"buttons": []} | under_message(buttons)
        else:
            rest = {name: there for name, there in aside["beneath"].items() if name != "buttons"}
            aside |= {"html": to_html(text), "beneath": rest | under_message(buttons)}
        self._threads.show(thread, exchange)

    async def post(self, post: Post) -> str:
        """Show an answer that is whole, by a turn or in words of the bot's own; its message id."""
        event, reply = post.inbound, post.reply
        thread, exchange = await self._place(event, reply.turn_id)
        shown = thread.answered_in(post.shown)
        if shown is None and exchange.is_growing:
            return self._post_aside(thread, exchange, reply)
        if shown is not None and shown is not exchange:  # written anew, where the old answer stood
            self._threads.drop(thread, exchange)
            exchange = shown
        kept_id = exchange.answer if shown is not None else ""
        exchange.phase, exchange.status = ("answered" if reply.turn_id else "notice"), ""
        exchange.html, exchange.beneath = to_html(reply.text), beneath(reply, self._keep)
        exchange.turn, exchange.verdicts = reply.turn_id or exchange.turn, {}
        if reply.turn_id:
            exchange.remembered = True  # what stood here before may have been taken back
        exchange.answer = kept_id or answer_id(reply.turn_id or event.event_id)
        self._threads.show(thread, exchange)
        await self._threads.settle(thread.id)
        return exchange.answer

    def _post_aside(self, thread: Thread, exchange: Exchange, reply: Reply) -> str:
        message_id = f"{exchange.id}-aside-{len(exchange.asides) + 1}"
        found = beneath(reply, self._keep)
        exchange.asides.append({"id": message_id, "html": to_html(reply.text), "beneath": found})
        self._threads.show(thread, exchange)
        return message_id

    def _work(self, thread: Thread, exchange: Exchange, text: str, status: str) -> None:
        exchange.phase, exchange.html, exchange.status = "working", to_html(text), status
        exchange.beneath = while_working(exchange.id) if self._threads.buttons else {}
        self._threads.show(thread, exchange)

    async def _place(self, event: Event, turn_id: str = "") -> tuple[Thread, Exchange]:
        """Where an event stands; it may be older than this program, or the page may have let go of it."""
        thread = await self._threads.at_hand(place_of(event))
        exchange = thread.exchange(event.event_id) or (thread.of_turn(turn_id) if turn_id else None)
        return thread, exchange or self._threads.heard(event)

    def _known(self, event: Event) -> tuple[Thread | None, Exchange | None]:
        thread = self._threads.known(place_of(event))
        return thread, None if thread is None else thread.exchange(event.event_id)

    def _keep(self, file: ReplyFile) -> dict[str, Any]:
        return self._shelf.put(file.name, file.media_type, file.data).to_json()
