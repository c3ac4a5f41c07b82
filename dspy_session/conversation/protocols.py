"""What goes out of a conversation: an event for everything that was committed, and the sinks that take it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, runtime_checkable

from dspy_session.stores.outgoing import Batch, Delivery, Settlement

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
        event_id: The platform's id of the message; empty when there was none.
        agent_version: Which version of the agent answered, as its owner names it; empty when nobody said.
        agent: Which of several agents answered, as its owner calls it; empty for the only one, or the usual one.
        usage: Tokens by model and kind, as DSPy's usage tracker counts them; empty when nobody counted.
        seconds: How long the turn took, the model's time included; 0 when nobody measured.
    """

    key: str
    turn: Turn
    author: str
    author_name: str
    model: str
    occurred_at: datetime
    event_id: str = ""
    agent_version: str = ""
    agent: str = ""
    usage: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    seconds: float = 0.0


Change = Literal[
    "turn.scored",
    "turn.edited",
    "conversation.undone",
    "conversation.reset",
    "conversation.forked",
    "conversation.deleted",
]


@dataclass(frozen=True, slots=True)
class ChangeEvent:
    """Something about a conversation changed, without a turn.

    Args:
        type: What: a turn was scored or edited, turns were taken back, the conversation was started anew, began as a
            copy of another one, or was deleted for good.
        key: The conversation.
        id: The event's own id, unique and the same whenever it is told.
        occurred_at: When it was committed, UTC.
        details: What else there is to say: ``turn_id``, ``score``, ``by``, ``text``, ``source`` of a score;
            ``turn_id``, ``inputs``, ``outputs`` of an edit;
            ``turn_ids`` of what was taken back, newest first; ``from_key`` of a fork.
    """

    type: Change
    key: str
    id: str
    occurred_at: datetime
    details: Mapping[str, Any] = field(default_factory=dict)


ConversationEvent: TypeAlias = TurnEvent | ChangeEvent


@runtime_checkable
class Sink(Protocol):
    """Is told of every turn once it is committed, in this process, and once."""

    async def send(self, event: TurnEvent) -> None:
        """Take ``event`` over and return at once; delivery goes on in the background."""
        ...

    async def aclose(self, grace: float = 5.0) -> None:
        """Deliver what is waiting, for at most ``grace`` seconds, then close."""
        ...


@runtime_checkable
class DurableSink(Protocol):
    """Is told of everything, in order in each conversation, whatever happens to the process.

    What it is to be told is written with the change itself (``encode``), and delivered from there (``deliver``), again
    and again until that has worked. The same delivery may therefore come twice, with the same id.
    """

    @property
    def name(self) -> str:
        """Names the sink's lanes in the store: the same after a restart, another for another sink; holds no secret."""
        ...

    @property
    def batch(self) -> int:
        """How many deliveries of one conversation ``deliver`` takes at once, at most."""
        ...

    @property
    def concurrency(self) -> int:
        """How many lanes are delivered side by side, at most."""
        ...

    @property
    def timeout(self) -> float:
        """Seconds that ``deliver`` takes at most."""
        ...

    def encode(self, event: ConversationEvent) -> Delivery | None:
        """What to deliver of ``event``, None for nothing. Pure: the same event makes the same delivery."""
        ...

    async def deliver(self, batch: Batch) -> Settlement:
        """Make one attempt at a batch. Never raises for what the other side does."""
        ...

    async def aopen(self) -> None:
        """Make ready to deliver, in the event loop that runs now."""
        ...

    async def aclose(self, grace: float = 5.0) -> None:
        """Let go of what ``aopen`` opened."""
        ...
