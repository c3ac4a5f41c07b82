"""A message and its answer, as the page shows them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from dspy_session import ConfigurationError, Turn
from dspy_session.conversation import TurnEvent
from dspy_session_bots.playground.beneath import under_turn
from dspy_session_bots.playground.deeds import said_of
from dspy_session_bots.playground.markdown import to_html
from dspy_session_chat import Action, Command, Event, Inbound
from dspy_session_chat.fields import AgentFields
from dspy_session_chat.forms import NO_ANSWER

Phase = Literal["waiting", "working", "answered", "notice", "quiet"]
"""How far an exchange is: in line behind another one, being answered, answered by a turn, answered in words of the
bot's own (an error, a help text), or nothing that an answer has to come to."""


@dataclass(slots=True)
class Exchange:
    """A message, or something else that somebody did, and its answer.

    Args:
        id: The event's id; the turn's id for one that no event brought about.
        text: The message; of a deed, what was done: ``"pressed Retry"``.
        at: When it was sent, in seconds since 1970, UTC; None if unknown.
        author: The id of who wrote or did it; empty if unknown.
        name: Their name.
        deed: True for something done, which is shown as a line between the messages.
        files: Files that came with it: ``name``, ``media_type``, ``size`` and ``url`` of each.
        edited: Whether its author changed it.
        deleted: Whether its author deleted it.
        phase: How far it is.
        status: What the agent is doing.
        html: The answer, as far as it is written.
        turn: The id of the turn that it became; empty until then.
        answer: The message id of the answer, as ``Posted`` has it; empty until there is one.
        asides: What the bot said before its answer was whole: ``id``, ``html`` and ``beneath`` of each.
        streaming: Whether the answer is being written this moment.
        beneath: What the answer has besides words, as ``beneath`` writes it.
        verdicts: What was said of the answer: the score by the id of who gave it.
        stopped: Why the answer ends before its end; empty when it is whole.
        remembered: False once the turn was taken back: the agent sees it no more.
        reactions: Under the answer, by emoji: the ids of those who put it there.
    """

    id: str
    text: str
    at: float | None
    author: str = ""
    name: str = ""
    deed: bool = False
    files: list[dict[str, Any]] = field(default_factory=list)
    edited: bool = False
    deleted: bool = False
    phase: Phase = "waiting"
    status: str = ""
    html: str = ""
    turn: str = ""
    answer: str = ""
    asides: list[dict[str, Any]] = field(default_factory=list)
    streaming: bool = False
    beneath: dict[str, Any] = field(default_factory=dict)
    verdicts: dict[str, float] = field(default_factory=dict)
    stopped: str = ""
    remembered: bool = True
    reactions: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def of_turn(
        cls, turn: Turn, fields: AgentFields, told: TurnEvent | None = None, *, buttons: bool = True
    ) -> Exchange:
        """The exchange that became ``turn``.

        Args:
            turn: The turn.
            fields: Which of the agent's fields are message and answer.
            told: Whose message it was; None where that is not known.
            buttons: Whether there are buttons under it.
        """
        at = None if turn.created_at is None else turn.created_at.timestamp()
        exchange = cls(turn.id, message_in(turn, fields), at, phase="answered", turn=turn.id)
        if told is not None:
            exchange.id, exchange.author, exchange.name = told.event_id or turn.id, told.author, told.author_name
        exchange.answer, exchange.beneath = answer_id(turn.id), under_turn(turn.id) if buttons else {}
        exchange.verdicts, exchange.stopped = verdicts_on(turn), turn.stopped
        try:
            exchange.html = to_html(fields.text(turn.outputs) or NO_ANSWER)
        except ConfigurationError as error:  # another agent's turn, or one that returns now this, now that
            exchange.phase, exchange.html = "notice", to_html(str(error))
        return exchange

    @classmethod
    def of_event(cls, event: Event, files: list[dict[str, Any]] | None = None) -> Exchange:
        """The exchange that begins with ``event``."""
        exchange = cls(
            event.event_id, "", event.sent_at.timestamp(), event.author.id, event.author.name, files=files or []
        )
        if isinstance(event, Inbound):
            exchange.text = event.text
            exchange.phase = "quiet" if event.mentions_others else "waiting"
        else:
            exchange.text, exchange.phase = said_of(event.deed), "quiet"
            exchange.deed = not isinstance(event.deed, Command)
        return exchange

    @property
    def busy(self) -> bool:
        """Whether an answer is still to come."""
        return self.phase in ("waiting", "working")

    @property
    def is_waiting(self) -> bool:
        """Whether nothing has been said to it so far, and nobody is at it."""
        return self.phase == "waiting" or (self.phase == "working" and not self.streaming and not self.html)

    @property
    def is_growing(self) -> bool:
        """Whether what is posted now is not yet the answer: that is still being written, or is there in part."""
        return self.streaming or (self.phase == "working" and bool(self.answer))

    def is_shown_as(self, message_id: str) -> bool:
        """Whether the answer, or something beside it, is that message."""
        return message_id != "" and (message_id == self.answer or self.aside(message_id) is not None)

    def aside(self, message_id: str) -> dict[str, Any] | None:
        """What stands beside the answer as that message."""
        return next((one for one in self.asides if one["id"] == message_id), None)

    def react(self, emoji: str, author: str, *, added: bool) -> None:
        """Put an emoji under the answer, or take it away."""
        others = [one for one in self.reactions.get(emoji, []) if one != author]
        self.reactions[emoji] = [*others, author] if added else others
        if not self.reactions[emoji]:
            del self.reactions[emoji]

    def to_json(self) -> dict[str, Any]:
        """The exchange as the page knows it."""
        return asdict(self)


def answer_id(of: str) -> str:
    """The message id of an answer: the same after a restart when ``of`` is a turn's id."""
    return f"{of}-answer"


def verdicts_on(turn: Turn) -> dict[str, float]:
    """What everybody says of a turn, by their id on the page."""
    return {said.by.rpartition(":")[2]: said.score for said in turn.feedback if said.score is not None}


def message_in(turn: Turn, fields: AgentFields) -> str:
    """What was said to the agent."""
    return str(turn.inputs.get(fields.message, ""))


def is_shown_at_once(event: Event) -> bool:
    """Whether people see an event when it happens, and not only once it is answered."""
    return isinstance(event, Inbound) or (isinstance(event, Action) and isinstance(event.deed, Command))
