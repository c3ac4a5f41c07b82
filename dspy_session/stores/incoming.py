"""What a store keeps of messages that came in: until they are answered, and where the answers stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from dspy_session.stores.protocol import Lease


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message that came in, before anything was done with it.

    Args:
        key: The conversation.
        event_id: The platform's id of the message: the same id is the same message.
        payload: The message, as JSON text.
        sent_at: When the platform says that it was sent, in seconds since 1970, UTC.
        received_at: When it came here, likewise.
        author: The platform's id of who wrote it.
    """

    key: str
    event_id: str
    payload: str
    sent_at: float
    received_at: float
    author: str = ""


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done next in a conversation.

    Args:
        arrival: The message.
        attempts: How often it was taken up, this time included; answering and posting are counted apart.
        reply: The answer that is committed and still has to be posted, as JSON text; empty when the message has yet
            to be answered.
        shown: The platform's ids of messages that a part of the answer was posted as, at this try or an earlier one.
    """

    arrival: Arrival
    attempts: int
    reply: str = ""
    shown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Posting:
    """Where the answer to a message stands.

    Args:
        event_id: The message.
        message_ids: The platform's ids of all messages that it was posted as, in order.
        turn_id: The turn that it is the answer of; with one, ``Posts.posted_as`` finds it by each of ``message_ids``.
        scope: Within what those ids are unique: a platform and a workspace.
        done: False while more of it is to be posted.
    """

    event_id: str
    message_ids: tuple[str, ...] = ()
    turn_id: str = ""
    scope: str = ""
    done: bool = True


@runtime_checkable
class Inbox(Protocol):
    """Keeps messages from when the platform may forget them until their answers are posted.

    A message is waiting, then answered (by the commit that settles it), then done; it stays known after that, so that
    it runs once, also when it comes again days later.
    """

    async def receive(self, arrival: Arrival) -> bool:
        """Keep a message, durably; False when it was known already, or was kept at a try that seemed to fail."""
        ...

    async def knows(self, key: str, event_id: str) -> bool:
        """True when a message is answered, or done: it must not run again."""
        ...

    async def waiting(self, limit: int) -> Sequence[str]:
        """Conversations with work that nobody holds a lease on, the one that has waited longest first."""
        ...

    async def take(self, lease: Lease) -> Work | None:
        """What is to be done next in a conversation: answers to be posted, then messages by the time they were sent.

        Raises:
            StaleJournalError: The lease was taken over.
        """
        ...

    async def pending(self, key: str) -> Sequence[Arrival]:
        """The messages of a conversation that are not answered yet, by the time they were sent."""
        ...

    async def posted(self, lease: Lease, posting: Posting) -> None:
        """The answer to a message is posted, or a part of it, also before it is committed.

        Raises:
            StaleJournalError: The lease was taken over.
        """
        ...

    async def changed(self, seconds: float) -> None:
        """Return when there may be new work, after ``seconds`` at the latest."""
        ...


@dataclass(frozen=True, slots=True)
class PostedTurn:
    """What a message of ours is the answer of.

    Args:
        key: The conversation.
        turn_id: The turn.
    """

    key: str
    turn_id: str


@runtime_checkable
class Posts(Protocol):
    """Finds what people react and refer to."""

    async def posted_as(self, scope: str, message_id: str) -> PostedTurn | None:
        """The turn whose answer was posted as that message; None when it is none of ours."""
        ...

    async def received_in(self, event_id: str) -> Sequence[str]:
        """The conversations that a message came to, the first one first; none when it never came, or was forgotten.

        Platforms that do not know of one another may give messages the same id: whoever asks sees by the keys.
        """
        ...
