"""What goes out of a conversation: an event for every committed turn, and the sinks that take it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from dspy_session.turn import Turn


@dataclass(frozen=True, slots=True)
class TurnEvent:
    """A turn that stands: it is committed to the store.

    Args:
        key: The conversation, as ``str(ConversationKey)`` or whatever key the caller chose.
        turn: The committed turn.
        author: The platform's id of the user who wrote the message; empty when there is none.
        author_name: The name that people see; empty when there is none.
        model: The language model that answered, as DSPy names it; empty when the agent calls none.
        occurred_at: When the turn was committed, UTC.
    """

    key: str
    turn: Turn
    author: str
    author_name: str
    model: str
    occurred_at: datetime


class Sink(Protocol):
    """Takes turn events over."""

    async def send(self, event: TurnEvent) -> None:
        """Take ``event`` over and return at once; delivery goes on in the background."""
        ...

    async def aclose(self, grace: float = 5.0) -> None:
        """Deliver what is waiting, for at most ``grace`` seconds, then close."""
        ...
