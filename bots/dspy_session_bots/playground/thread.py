"""A thread as the page shows it: messages and their answers, and the turns that they became."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from dspy_session import SessionState, Turn
from dspy_session.conversation import TurnEvent
from dspy_session_bots.playground import turn_log
from dspy_session_bots.playground.exchange import Exchange, message_in, verdicts_on
from dspy_session_chat.fields import AgentFields

SHOWN = 200
"""Exchanges and turns that a page shows, the newest; the agent remembers what it was told to remember."""
LONGEST_TITLE = 60
CHANGEABLE = ("message", "inputs", "outputs", "score", "feedback")
"""What of a line of the turn log may change later."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen in a conversation.

    Args:
        remembered: The turns that the agent sees.
        asked: Ids of the turns that were shown before anybody looked; of a newer one the look says nothing.
        forgotten: Those of them that are kept nowhere any more, so that nothing of them may be shown.
    """

    remembered: Sequence[Turn]
    asked: Collection[str]
    forgotten: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Changes:
    """What a look at the conversation changed in a thread.

    Args:
        exchanges: Exchanges that are new or different.
        turns: Lines of the turn log that are.
        gone: Ids of exchanges that nothing is left of.
        gone_turns: Ids of lines likewise.
    """

    exchanges: Sequence[Exchange] = ()
    turns: Sequence[dict[str, Any]] = ()
    gone: Sequence[str] = ()
    gone_turns: Sequence[str] = ()

    def __bool__(self) -> bool:
        return any((self.exchanges, self.turns, self.gone, self.gone_turns))


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
    def of_state(
        cls,
        thread: str,
        state: SessionState,
        fields: AgentFields,
        told: Mapping[str, TurnEvent],
        *,
        buttons: bool = True,
    ) -> Thread:
        """The thread with what its conversation remembers.

        Args:
            thread: Its id.
            state: The conversation.
            fields: Which of the agent's fields are message and answer.
            told: What is known of its turns besides, by id.
            buttons: Whether there are buttons under answers.
        """
        shown = state.turns[-SHOWN:]
        made = cls(thread, hidden=len(state.turns) - len(shown))
        for turn in shown:
            event = told.get(turn.id)
            exchange = Exchange.of_turn(turn, fields, event, buttons=buttons)
            if made.exchange(exchange.id) is not None:  # an event that brought about several
                exchange.id = turn.id
            made.add(exchange)
            made.log(turn_log.entry(turn, message_in(turn, fields), "" if event is None else event.model))
        return made

    @property
    def busy(self) -> bool:
        """Whether an answer is still to come."""
        return any(exchange.busy for exchange in self.exchanges)

    @property
    def waiting(self) -> Sequence[Exchange]:
        """Messages that are in line, those among it that were begun to be answered and put back without a word."""
        return [exchange for exchange in self.exchanges if exchange.is_waiting]

    def of_turn(self, turn_id: str) -> Exchange | None:
        """The exchange that became a turn."""
        return next((exchange for exchange in self.exchanges if exchange.turn == turn_id), None)

    def exchange(self, event_id: str) -> Exchange | None:
        """The exchange of a message."""
        return next((exchange for exchange in reversed(self.exchanges) if exchange.id == event_id), None)

    def answered_in(self, message_ids: Collection[str]) -> Exchange | None:
        """The exchange whose answer, or something beside it, is one of these messages."""
        return next((one for one in reversed(self.exchanges) if any(map(one.is_shown_as, message_ids))), None)

    def add(self, exchange: Exchange) -> None:
        """Add the newest exchange."""
        self.exchanges.append(exchange)
        del self.exchanges[:-SHOWN]

    def log(self, entry: dict[str, Any]) -> bool:
        """Add a line to the turn log; False when it is there already."""
        if any(known["id"] == entry["id"] for known in self.turns):
            return False
        self.turns.append(entry)
        self.hidden += max(0, len(self.turns) - SHOWN)
        del self.turns[:-SHOWN]
        return True

    def known(self) -> frozenset[str]:
        """Ids of the turns that are shown."""
        return frozenset([line["id"] for line in self.turns] + [one.turn for one in self.exchanges if one.turn])

    def agree(self, look: Look, fields: AgentFields, *, buttons: bool = True) -> Changes:
        """Say what the conversation says by now, and what that changed.

        Args:
            look: What was seen in the conversation.
            fields: Which of the agent's fields are message and answer.
            buttons: Whether there are buttons under answers that are new here.
        """
        turns = {turn.id: turn for turn in look.remembered}
        before = {exchange.id: exchange.to_json() for exchange in self.exchanges}
        lines = {line["id"]: dict(line) for line in self.turns}
        gone = self._forget(look.forgotten)
        for exchange in self.exchanges:
            if exchange.turn in look.asked:
                _renew(exchange, turns.get(exchange.turn), lines.get(exchange.turn), fields)
        for line in self.turns:
            if line["id"] in look.asked:
                turn = turns.get(line["id"])
                line["remembered"] = turn is not None
                if turn is not None:
                    now = turn_log.entry(turn, message_in(turn, fields))
                    line.update({name: now[name] for name in CHANGEABLE})
        if not self.busy:  # else the newest turn is that of an answer that is about to be posted
            answered = {exchange.turn for exchange in self.exchanges}
            room = len(self.exchanges) < SHOWN  # without, the log goes further back than the exchanges do
            for turn in look.remembered[-SHOWN:]:
                if turn.id not in answered and (room or turn.id not in lines):
                    self.add(Exchange.of_turn(turn, fields, buttons=buttons))
                    self.log(turn_log.entry(turn, message_in(turn, fields)))
        return Changes(
            [exchange for exchange in self.exchanges if exchange.to_json() != before.get(exchange.id)],
            [line for line in self.turns if line != lines.get(line["id"])],
            gone,
            [known for known in lines if known in look.forgotten],
        )

    def _forget(self, turns: Collection[str]) -> list[str]:
        """Drop what became these turns, and what their authors said besides; the ids of the exchanges."""
        lost = [exchange for exchange in self.exchanges if exchange.turn in turns]
        authors = {exchange.author for exchange in lost}
        newest = max((exchange.at or 0.0 for exchange in lost), default=0.0)
        gone = [
            exchange.id
            for exchange in self.exchanges
            if exchange in lost
            or (
                exchange.author in authors
                and not exchange.turn
                and not exchange.busy
                and (exchange.at or 0.0) <= newest
            )
        ]
        self.exchanges = [exchange for exchange in self.exchanges if exchange.id not in gone]
        self.turns = [line for line in self.turns if line["id"] not in turns]
        return gone

    def to_json(self) -> dict[str, Any]:
        """The thread as the page knows it."""
        return asdict(self)


def _renew(exchange: Exchange, turn: Turn | None, line: dict[str, Any] | None, fields: AgentFields) -> None:
    """Let an exchange say what its turn says; None for a turn that was taken back."""
    exchange.remembered = turn is not None
    if turn is None:
        return
    exchange.verdicts, exchange.stopped = verdicts_on(turn), turn.stopped
    now = turn_log.entry(turn, message_in(turn, fields))
    if line is not None and now["inputs"] != line["inputs"]:
        exchange.text, exchange.edited = message_in(turn, fields), True
    if line is not None and now["outputs"] != line["outputs"]:
        exchange.html = Exchange.of_turn(turn, fields).html


def title_of(message: str) -> str:
    """A thread's title: the first line of its first message."""
    line = " ".join(message.strip().split("\n", 1)[0].split())
    return line if len(line) <= LONGEST_TITLE else line[: LONGEST_TITLE - 1].rstrip() + "…"
