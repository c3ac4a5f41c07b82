"""A thread as the page shows it: messages and their answers, and the turns that they became."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from dspy_session import ConfigurationError, SessionState, Turn
from dspy_session_bots.playground import turn_log
from dspy_session_bots.playground.markdown import to_html
from dspy_session_chat.bot import NO_ANSWER
from dspy_session_chat.fields import AgentFields

SHOWN = 200
"""Exchanges and turns that a page shows, the newest; the agent remembers what it was told to remember."""
LONGEST_TITLE = 60

Phase = Literal["waiting", "working", "answered", "notice"]
"""How far an exchange is: in line behind another one, being answered, answered by a turn, answered in words of the
bot's own (an error, a help text)."""


@dataclass(slots=True)
class Exchange:
    """A message and its answer.

    Args:
        id: The message's event id; the turn's id for one out of the store.
        text: The message.
        at: When it was sent, in seconds since 1970, UTC; None if unknown.
        phase: How far it is.
        status: What the agent is doing.
        html: The answer, as far as it is written.
        turn: The id of the turn that it became; empty until then.
    """

    id: str
    text: str
    at: float | None
    phase: Phase = "waiting"
    status: str = ""
    html: str = ""
    turn: str = ""

    @classmethod
    def of_turn(cls, turn: Turn, fields: AgentFields) -> Exchange:
        """The exchange that became ``turn``."""
        at = None if turn.created_at is None else turn.created_at.timestamp()
        exchange = cls(turn.id, message_in(turn, fields), at, "answered", turn=turn.id)
        try:
            exchange.html = to_html(fields.text(turn.outputs) or NO_ANSWER)
        except ConfigurationError as error:  # another agent's turn, or one that returns now this, now that
            exchange.phase, exchange.html = "notice", to_html(str(error))
        return exchange


@dataclass(slots=True)
class Thread:
    """A thread.

    Args:
        id: Its id.
        exchanges: Messages and answers, oldest first.
        turns: Lines of the turn log, oldest first.
        hidden: How many older turns there are.
        trouble: Why it cannot be read, in one line; empty if it can.
    """

    id: str
    exchanges: list[Exchange] = field(default_factory=list)
    turns: list[dict[str, Any]] = field(default_factory=list)
    hidden: int = 0
    trouble: str = ""

    @classmethod
    def of_state(cls, thread: str, state: SessionState, fields: AgentFields) -> Thread:
        """The thread with what its conversation remembers."""
        shown = state.turns[-SHOWN:]
        return cls(
            thread,
            [Exchange.of_turn(turn, fields) for turn in shown],
            [turn_log.entry(turn, message_in(turn, fields)) for turn in shown],
            len(state.turns) - len(shown),
        )

    @property
    def busy(self) -> bool:
        """Whether an answer is still to come."""
        return any(exchange.phase in ("waiting", "working") for exchange in self.exchanges)

    def exchange(self, event_id: str) -> Exchange | None:
        """The exchange of a message."""
        return next((exchange for exchange in reversed(self.exchanges) if exchange.id == event_id), None)

    def log(self, entry: dict[str, Any]) -> bool:
        """Add a line to the turn log; False when it is there already."""
        if any(known["id"] == entry["id"] for known in self.turns):
            return False
        self.turns.append(entry)
        self.hidden += max(0, len(self.turns) - SHOWN)
        del self.turns[:-SHOWN]
        return True

    def to_json(self) -> dict[str, Any]:
        """The thread as the page knows it."""
        return asdict(self)


def message_in(turn: Turn, fields: AgentFields) -> str:
    """What was said to the agent."""
    return str(turn.inputs.get(fields.message, ""))


def title_of(message: str) -> str:
    """A thread's title: the first line of its first message."""
    line = " ".join(message.strip().split("\n", 1)[0].split())
    return line if len(line) <= LONGEST_TITLE else line[: LONGEST_TITLE - 1].rstrip() + "…"
