"""Where what people write and do on the page becomes the bot's events."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from datetime import datetime

from dspy_session import SessionError
from dspy_session_bots.playground.exchange import is_shown_at_once
from dspy_session_bots.playground.following import Following
from dspy_session_bots.playground.key import conversation_key, written_in
from dspy_session_bots.playground.refusal import RefusalError
from dspy_session_bots.playground.saying import Saying
from dspy_session_bots.playground.shelf import Kept, Shelf
from dspy_session_bots.playground.threads import Threads
from dspy_session_chat import Action, Attachment, Author, Event, Inbound, Post, Receive, Reply
from dspy_session_chat.action import Deed
from dspy_session_chat.inbound import Addressed


class Desk:
    """Takes in what the page sends.

    Args:
        threads: Shows it.
        saying: Shows what is said to it.
        shelf: Holds the files that come with messages.
        following: Looks what became of deeds.
        receive: The bot.
        address: The server's own address, for those who fetch the files.
        now: The time, UTC.
    """

    def __init__(
        self,
        threads: Threads,
        saying: Saying,
        shelf: Shelf,
        following: Following,
        receive: Receive,
        *,
        address: str,
        now: Callable[[], datetime],
    ) -> None:
        self._threads = threads
        self._saying = saying
        self._shelf = shelf
        self._following = following
        self._receive = receive
        self._address = address.rstrip("/")
        self._now = now

    async def say(self, thread: str, author: Author, text: str, files: Sequence[str] = ()) -> str:
        """Bring a message to the bot; its id.

        Args:
            thread: The thread that it is written in.
            author: Who writes.
            text: The message.
            files: Ids of files on the shelf that come with it.

        Raises:
            RefusalError: A file is not there any more.
        """
        kept = [self._file(identity) for identity in files]
        await self._threads.open(thread)
        others = {one: name for one, name in self._threads.speakers(thread).items() if one != author.id}
        inbound = Inbound(
            conversation_key(thread),
            secrets.token_hex(8),
            author,
            text,
            _addressed(others),
            self._now(),
            attachments=tuple(
                Attachment(file.name, file.media_type, len(file.data), self._address + file.path) for file in kept
            ),
            reply_to=written_in(thread),
            mentions_others=any(f"@{name}".lower() in text.lower() for name in others.values()),
        )
        self._threads.heard(inbound, [file.to_json() for file in kept])
        await self._hand_over(inbound)
        self._following.wait(thread)
        return inbound.event_id

    async def act(self, thread: str, author: Author, deed: Deed) -> str:
        """Bring something that was done to the bot; the event's id.

        Raises:
            RefusalError: It is about a message that is not there, or somebody else's.
        """
        await self._threads.open(thread)
        if not self._threads.done(thread, author.id, deed):
            raise RefusalError(404, "there is no such message of yours")
        key, event_id = conversation_key(thread), secrets.token_hex(8)
        action = Action(key, event_id, author, self._now(), deed, reply_to=written_in(thread))
        if is_shown_at_once(action):
            self._threads.heard(action)
        await self._hand_over(action)
        self._following.follow(thread)
        return action.event_id

    async def _hand_over(self, event: Event) -> None:
        try:
            await self._receive(event)
        except SessionError as error:
            await self._saying.post(Post(event, Reply(str(error))))

    def _file(self, identity: str) -> Kept:
        kept = self._shelf.get(identity)
        if kept is None:
            raise RefusalError(410, "a file is not here any more: add it again")
        return kept


def _addressed(others: object) -> Addressed:
    """One person and the bot are by themselves; with a second one they share the thread."""
    return "thread" if others else "direct"
