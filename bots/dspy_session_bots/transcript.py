"""What happened in a conversation, entry by entry, as its journal says it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dspy_session.conversation.entries import author_of
from dspy_session.errors import StoreError
from dspy_session.feedback import Feedback, score_of
from dspy_session.stores import Entry, Store
from dspy_session_bots.feedback import SCORE, said_of_turns, to_json
from dspy_session_bots.keeping import refuse_sealed
from dspy_session_bots.moments import iso

TURN = "turn"


@dataclass(frozen=True, slots=True)
class Line:
    """One entry, for people and for programs.

    Args:
        number: Its number.
        kind: What it is: ``"turn"``, ``"undo"``, ``"score"``, …
        at: When it was written, in seconds since 1970, UTC.
        user: Who wrote it, as ``forget --user`` knows them.
        body: What it holds, JSON values.
        stands: Whether a turn still belongs to the conversation; True for everything else.
        about: The turn that it says something of; None for none.
        feedback: What was said of a turn and stands, where it is shown as it is now.
    """

    number: int
    kind: str
    at: float
    user: str
    body: Mapping[str, Any]
    stands: bool = True
    about: Mapping[str, Any] | None = None
    feedback: tuple[Feedback, ...] = ()

    @property
    def ledger(self) -> str:
        """Which part of the agent it belongs to; empty for the conversation itself."""
        return str(self.body.get("ledger", ""))

    @property
    def told(self) -> Mapping[str, Any]:
        """What is known of a turn besides its fields."""
        told = self.body.get("told")
        by = {"author": author_of(self.user)} if self.user else {}
        return {**by, **told} if isinstance(told, dict) else by

    def to_json(self) -> dict[str, Any]:
        """The same for programs."""
        head = {"number": self.number, "kind": self.kind, "at": iso(self.at), "user": self.user or None}
        if self.kind != TURN:
            return {**head, "turn_id": self.about and self.about.get("id"), **self.body}
        told, body = self.told, self.body
        return {
            **head,
            "turn_id": body.get("id"),
            "index": body.get("index"),
            "stands": self.stands,
            "ledger": self.ledger or None,
            "author": {"id": told["author"], "name": told.get("name", "")} if told.get("author") else None,
            "event_id": told.get("event"),
            "inputs": body.get("inputs", {}),
            "outputs": body.get("outputs", {}),
            "stopped": body.get("stopped"),
            "score": body.get("score"),
            "feedback": [to_json(each) for each in self.feedback],
            "model": told.get("model"),
            "agent_version": told.get("version"),
            "agent": told.get("agent"),
            "usage": told.get("usage", {}),
            "seconds": told.get("took"),
        }


async def read_transcript(store: Store, key: str, *, as_now: bool) -> list[Line]:
    """Everything that happened in a conversation, oldest first; empty when there is no such conversation.

    Args:
        store: Where it is kept.
        key: The conversation.
        as_now: Whether turns hold their last edit, their score and what was said of them; else they are as they were.

    Raises:
        StoreError: It cannot be read.
    """
    journal = await store.read(key, 1)
    entries = [entry async for entry in store.entries(key)][: journal.length]  # a bot may go on writing meanwhile
    return transcript(key, entries, journal.marks, as_now=as_now)


def transcript(key: str, entries: Sequence[Entry], marks: Mapping[str, int], *, as_now: bool) -> list[Line]:
    """The lines of a journal.

    Args:
        key: The conversation.
        entries: All its entries.
        marks: Its marks.
        as_now: As above.

    Raises:
        StoreError: An entry is damaged, or encrypted.
    """
    bodies = [_body(key, number, entry) for number, entry in enumerate(entries)]
    stands = _standing(entries, marks)
    said = said_of_turns(zip(entries, bodies, strict=True)) if as_now else {}
    now: dict[int, dict[str, Any]] = {}
    for number, entry in enumerate(entries):
        if entry.about is None or not as_now:
            continue
        if entry.kind == SCORE:
            now.setdefault(entry.about, {})["score"] = score_of(said.get(entry.about, ()))
        elif entry.kind == "edit":
            now.setdefault(entry.about, {}).update({name: bodies[number].get(name) for name in ("inputs", "outputs")})
    return [
        Line(
            number,
            entry.kind,
            entry.at,
            entry.author,
            {**bodies[number], **now.get(number, {})},
            entry.kind != TURN or number in stands,
            bodies[entry.about] if entry.about is not None and 0 <= entry.about < len(bodies) else None,
            said.get(number, ()),
        )
        for number, entry in enumerate(entries)
    ]


async def turns_in(store: Store, key: str) -> int | None:
    """How many turns stand in a conversation, without reading them all; None where that cannot be told."""
    journal = await store.read(key, 1)
    newest = journal.marks.get("turn:")
    if newest is None:
        return 0
    entry = journal.entries.get(newest)
    if entry is None or entry.kind != TURN:  # it was forgotten: the others have to be counted
        journal = await store.read(key)
        standing = _standing(journal.entries, {"turn:": newest})
        return sum(journal.entries[number].kind == TURN for number in standing)
    try:
        return int(json.loads(entry.body)["index"]) + 1
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _standing(entries: Sequence[Entry] | Mapping[int, Entry], marks: Mapping[str, int]) -> set[int]:
    """The numbers of the entries in the chains of turns that marks lead to."""
    known = entries if isinstance(entries, Mapping) else dict(enumerate(entries))
    found: set[int] = set()
    for mark, newest in marks.items():
        number: int | None = newest if mark.startswith("turn:") else None
        while number is not None and number in known and number not in found:
            found.add(number)
            number = known[number].previous
    return found


def _body(key: str, number: int, entry: Entry) -> dict[str, Any]:
    refuse_sealed(key, entry)
    try:
        body = json.loads(entry.body)
    except (ValueError, RecursionError) as error:
        raise StoreError(f"conversation {key!r}: entry {number} ({entry.kind}) is damaged ({error})") from error
    return body if isinstance(body, dict) else {}
