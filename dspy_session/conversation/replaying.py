"""What sinks were told of a conversation, to be told again: the events that its journal stands for. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from dspy_session.conversation.entries import FORGOTTEN, TURN, told_of
from dspy_session.conversation.protocols import Change, ChangeEvent, ConversationEvent
from dspy_session.conversation.taking import turn_event
from dspy_session.errors import StateFileError
from dspy_session.history import Snapshot
from dspy_session.stores import Entry
from dspy_session.turn import Besides, Record, Turn

_CHANGES: dict[str, Change] = {
    "score": "turn.scored",
    "edit": "turn.edited",
    "undo": "conversation.undone",
    "reset": "conversation.reset",
    "forked": "conversation.forked",
}


def as_kept(value: Any) -> Any:
    """The ``encode`` of a sink that is told these events: their values are JSON already."""
    return value


def events_of(key: str, entries: Sequence[Entry]) -> Iterator[ConversationEvent]:
    """The events of a conversation, in order, each with the id and the words that it had when it was told first.

    Turns hold their fields as the journal does, in JSON, so that no class of the agent's is needed to tell them; they
    are as they were before anybody scored or edited them, and say nothing of the history that they saw. What was
    forgotten is not told; that a whole conversation was deleted is not either, because nothing of it is left.

    Args:
        key: The conversation.
        entries: Its whole journal.

    Raises:
        StateFileError: An entry is damaged; the message says which.
    """
    journal = _Told(key, entries)
    # A fork begins with a copy of the other journal, whose events were told of the other conversation.
    forks = [number for number, entry in enumerate(entries) if entry.kind == "forked"]
    begins = forks[-1] if forks else 0
    newest: int | None = None
    for number, entry in enumerate(entries):
        event: ConversationEvent | None = None
        if entry.kind == FORGOTTEN and entry.previous is not None and entry.previous == newest:
            newest = number  # it was a turn
        elif entry.kind == "cleared" and journal.is_own(number):
            newest = None
        elif entry.kind == TURN and journal.is_own(number):
            newest = number
            event = None if journal.goes_on(number) else journal.turn(number)
        elif entry.kind == "undo":
            taken, newest = journal.taken_back(newest, journal.body(number)["steps"])
            event = journal.change(number, turn_ids=taken)
        elif entry.kind == "reset":
            newest = None
            event = journal.change(number)
        elif entry.kind in ("score", "edit"):
            event = journal.note(number)
        elif entry.kind == "forked":
            event = journal.change(number, from_key=journal.body(number).get("from", ""))
        if event is not None and number >= begins:
            yield event


class _Told:
    """A journal, and what was told of its entries."""

    def __init__(self, key: str, entries: Sequence[Entry]) -> None:
        self._key = key
        self._entries = entries

    def body(self, number: int) -> dict[str, Any]:
        entry = self._entries[number]
        try:
            body = json.loads(entry.body)
        except (ValueError, RecursionError) as error:
            raise self.damaged(number, str(error)) from error
        if not isinstance(body, dict):
            raise self.damaged(number, "it is no object")
        return body

    def damaged(self, number: int, why: str) -> StateFileError:
        return StateFileError(
            f"conversation {self._key!r}: entry {number} ({self._entries[number].kind}) is damaged ({why})"
        )

    def is_own(self, number: int) -> bool:
        """Whether an entry is of the conversation itself, not of a part of its agent."""
        return "ledger" not in self.body(number)

    def goes_on(self, number: int) -> bool:
        """Whether a turn was taken inside the next one, as a call of a tool: sinks are told of the outer one."""
        if number + 1 >= len(self._entries):
            return False
        entry, outer = self._entries[number], self._entries[number + 1]
        if outer.kind != TURN or outer.previous != number or outer.at != entry.at:
            return False
        inside, around = self.body(number), self.body(number + 1)
        saw = around.get("saw", ())  # how much of the seed, the first turn, the last one if it is not the one before
        sees = len(saw) > 1 and saw[1] <= inside["index"] <= (saw[2] if len(saw) > 2 else around["index"] - 1)
        return inside.get("told") == around.get("told") and not sees

    def turn(self, number: int) -> ConversationEvent:
        entry, body = self._entries[number], self.body(number)
        try:
            record = Record(dict(body["inputs"]), dict(body["outputs"]))
            saw, created = Snapshot.of(None), body.get("at", entry.at)
            besides = Besides(body.get("stopped", ""))
            turn = Turn.of(record, body["index"], saw, body.get("score"), body["id"], created, besides=besides)
            return turn_event(self._key, turn, told_of(entry, body), entry.at)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self.damaged(number, str(error)) from error

    def note(self, number: int) -> ChangeEvent | None:
        about = self._entries[number].about
        if about is None or not 0 <= about < len(self._entries) or self._entries[about].kind != TURN:
            return None
        return self.change(number, **{"turn_id": self.body(about).get("id"), **self.body(number)})

    def taken_back(self, newest: int | None, steps: int) -> tuple[list[str], int | None]:
        """The ids of the newest ``steps`` turns, newest first, as far as they are known; and the turn before them."""
        ids: list[str] = []
        for _ in range(steps):
            if newest is None:
                break
            if self._entries[newest].kind == TURN:
                ids.append(self.body(newest)["id"])
            newest = self._entries[newest].previous
        return ids, newest

    def change(self, number: int, **details: Any) -> ChangeEvent:
        entry = self._entries[number]
        kind = _CHANGES[entry.kind]
        # The journal's length before the change names it; that of a fork is 0, whatever was copied into it.
        length = 0 if entry.kind == "forked" else number
        told: Mapping[str, Any] = details
        return ChangeEvent(kind, self._key, f"{kind}:{self._key}:{length}", datetime.fromtimestamp(entry.at, UTC), told)
