"""A conversation as a journal: what each change looks like in a store. Pure; ``restoring`` is the way back.

Each turn is an entry and points at the turn before it in the same ledger (the conversation's own, or a child's). The
mark ``turn:`` names the newest turn that stands, so undoing moves a mark and removes nothing, and the newest turns are
found without reading the others. Which turns a turn saw is told by their indexes: they stand in the entries before.

Kinds: ``turn``, ``seed`` and ``memory`` are what a state is made of; ``cleared``, ``reset``, ``undo``, ``forked``,
``failed``, ``deleted``, ``aside`` and ``agent`` say what happened; ``score``, ``signal`` and ``edit`` are about a turn,
and ``shared`` says whose words are in one, or in a failure, besides its author's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from dspy_session.codec import to_json
from dspy_session.conversation.entries import MEMORY, SEED, TURN, author_of
from dspy_session.conversation.restoring import Restored
from dspy_session.feedback import Signal
from dspy_session.files import history_to_json, record_to_json
from dspy_session.history import Snapshot, whole_message
from dspy_session.state import Outcome, SessionState
from dspy_session.stores import SHARED, Entry
from dspy_session.turn import Record, Turn

AGENT = "agent:"
"""Begins the mark that says which agent answers in a conversation, where there are several."""
ASIDE = "aside:"
"""The mark of a conversation in which people talk to one another, since the bot was addressed last."""
SAME_MOMENT = 0.01
"""Seconds between a turn and its commit within which the commit's time stands for both."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be written.

    Args:
        entries: The new entries.
        marks: All marks from then on.
    """

    entries: tuple[Entry, ...]
    marks: Mapping[str, int]


def call_change(
    outcome: Outcome, restored: Restored, at: float, *, author: str = "", told: Mapping[str, Any] | None = None
) -> Change:
    """What a call writes.

    Args:
        outcome: What it changes.
        restored: The conversation before it.
        at: The time.
        author: Whose words are in it.
        told: What is known of the turn besides: who asked, which model answered, how long it took.

    Raises:
        UnsupportedValueError: A value cannot be written and read back equal; the message names its field.
    """
    writer = _Writer(restored.length, dict(restored.marks), at, author)
    writer.outcome("", outcome, restored.state, told)
    return Change(tuple(writer.entries), writer.marks)


def shared(change: Change, about: int, users: Sequence[str], at: float) -> Change:
    """A change with whose words are in one of its entries besides its author's: with theirs that entry goes too.

    Args:
        change: The change.
        about: The number of the entry.
        users: Who they are, as ``forget_user`` knows them.
        at: The time.
    """
    return Change((*change.entries, *(Entry(SHARED, "{}", at, None, about, user) for user in users)), change.marks)


def agent_of(marks: Mapping[str, int]) -> str:
    """Which agent answered in a conversation last, by its label; empty for the only one, or the usual one."""
    return next((mark.removeprefix(AGENT) for mark in marks if mark.startswith(AGENT)), "")


def answered_by(change: Change, restored: Restored, label: str, at: float) -> Change:
    """A change with which agent brought it about, where that is not the one of before.

    Args:
        change: The change.
        restored: The conversation before it.
        label: The agent; empty for the only one, or the usual one.
        at: The time.
    """
    if agent_of(restored.marks) == label:
        return change
    marks = {name: number for name, number in change.marks.items() if not name.startswith(AGENT)}
    if not label:
        return Change(change.entries, marks)
    entry = Entry("agent", _dumps({"agent": label}), at)
    return Change((*change.entries, entry), {**marks, f"{AGENT}{label}": restored.length + len(change.entries)})


def undo_change(restored: Restored, steps: int, at: float) -> Change:
    """What is written when the newest ``steps`` turns, which were all read, are taken back."""
    marks = dict(restored.marks)
    kept = restored.numbers[: len(restored.numbers) - steps]
    newest = kept[-1] if kept else restored.beyond
    if newest is not None:
        marks["turn:"] = newest
    else:
        marks.pop("turn:", None)
    return Change((Entry("undo", _dumps({"steps": steps}), at),), marks)


def instead_change(
    outcome: Outcome, restored: Restored, before: SessionState, at: float, *, author: str, told: Mapping[str, Any]
) -> Change:
    """What a call writes that takes the place of the newest turn: that one is taken back.

    Args:
        outcome: What the call changes.
        restored: The conversation, with that turn.
        before: Its state without that turn.
        at: The time.
        author: Whose words are in it.
        told: What is known of the new turn besides.
    """
    undone = undo_change(restored, 1, at)
    without = Restored(before, restored.length + len(undone.entries), undone.marks)
    change = call_change(outcome, without, at, author=author, told=told)
    return Change((*undone.entries, *change.entries), change.marks)


def reset_change(restored: Restored, at: float) -> Change:
    """What is written when a conversation is started anew: seeds and memories stay."""
    marks = {name: number for name, number in restored.marks.items() if not name.startswith(("turn:", ASIDE))}
    return Change((Entry("reset", "{}", at),), marks)


def note(
    kind: str, body: Mapping[str, Any], restored: Restored, at: float, *, about: int | None = None, author: str = ""
) -> Change:
    """An entry that says something and moves no mark: a score or an edit of the turn ``about``, a failure."""
    return Change((Entry(kind, _dumps(body), at, None, about, author),), restored.marks)


def seeded(change: Change, restored: Restored, at: float) -> Change:
    """A conversation's first change, with the seed that it began with: the agent's may be another one later."""
    seed = restored.state.initial_history
    if restored.length or seed is None or not change.entries or "seed:" in change.marks:
        return change
    entry = Entry(SEED, _dumps(history_to_json(seed, "seed")), at)
    return Change((*change.entries, entry), {**change.marks, "seed:": len(change.entries)})


def score_note(score: float | None, by: str, text: str, source: str) -> dict[str, Any]:
    """The body of a score."""
    body: dict[str, Any] = {"score": to_json(score, "score")}
    return body | {name: value for name, value in (("by", by), ("text", text), ("source", source)) if value}


def signal_note(signal: Signal, by: str) -> dict[str, Any]:
    """The body of a signal."""
    return {"signal": signal} | ({"by": by} if by else {})


def edited(turn: Turn, inputs: Mapping[str, Any] | None, outputs: Mapping[str, Any] | None) -> Turn:
    """A turn with other inputs or outputs; None keeps them."""
    record = Record(turn.inputs if inputs is None else inputs, turn.outputs if outputs is None else outputs)
    return Turn.of(record, turn.index, turn.saw, turn.score, turn.id, besides=turn.besides)


def edit_note(turn: Turn) -> dict[str, Any]:
    """The body of an edit: the turn as it is from then on."""
    return record_to_json(turn.record, f"turn {turn.index}")


def rewritten(entry: Entry, turn: Turn, words: Mapping[str, Sequence[int]] | None) -> Entry:
    """A turn's entry as if the turn had always said what it says now.

    Args:
        entry: The entry.
        turn: The turn as it is now.
        words: Where the words of each message stand in its inputs, as far as it is known.
    """
    body = {**json.loads(entry.body), **edit_note(turn)}
    if "words" in (told := body.get("told", {})):
        body["told"] = {**told, "words": dict(words or {})}
    return replace(entry, body=_dumps(body))


class _Writer:
    def __init__(self, length: int, marks: dict[str, int], at: float, author: str) -> None:
        self.length = length
        self.marks = marks
        self.entries: list[Entry] = []
        self._at = at
        self._author = author

    def outcome(self, ledger: str, outcome: Outcome, state: SessionState, told: Mapping[str, Any] | None) -> None:
        before = _before(state, outcome)
        where = {"ledger": ledger} if ledger else {}
        if outcome.new_seed:
            self._mark(f"seed:{ledger}", Entry(SEED, _dumps(history_to_json(outcome.seed, "seed")), self._at))
        if outcome.cleared:
            self.marks.pop(f"turn:{ledger}", None)
            self._add(Entry("cleared", _dumps(where), self._at))
        # Before the turns, so that the last entry of a change is the conversation's own turn.
        for path, node in outcome.nodes.items():
            if not node.empty:
                below = f"{ledger}/{quote(path, safe='')}" if ledger else quote(path, safe="")
                self.outcome(below, node, state.node_states.get(path, SessionState()), None)
        if outcome.l2_memory is not None:
            text = _dumps({"text": outcome.l2_memory})
            self._mark(f"memory:{ledger}", Entry(MEMORY, text, self._at, author=self._author))
        for place, turn in enumerate(outcome.turns):
            body = {**where, **_turn_to_json(turn, before, outcome.turns[:place], self._at)}
            if outcome.max_stored_turns is not None:
                body["keep"] = outcome.max_stored_turns
            if told:
                body["told"] = _less_known(told, self._author)
            mark = f"turn:{ledger}"
            if not ledger:
                self.marks.pop(ASIDE, None)
            self._mark(mark, Entry(TURN, _dumps(body), self._at, self.marks.get(mark), None, self._author))

    def _add(self, entry: Entry) -> int:
        self.entries.append(entry)
        return self.length + len(self.entries) - 1

    def _mark(self, mark: str, entry: Entry) -> None:
        self.marks[mark] = self._add(entry)


def _before(state: SessionState, outcome: Outcome) -> SessionState:
    """What the turns of an outcome build on."""
    if not outcome.cleared and not outcome.new_seed:
        return state
    seed = outcome.seed if outcome.new_seed else state.initial_history
    return SessionState(() if outcome.cleared else state.turns, seed)


def as_written(turn: Turn, at: float) -> Turn:
    """A turn as it comes back from an entry that is written ``at``: what is the same within a moment is told once."""
    created = None if turn.created_at is None else turn.created_at.timestamp()
    if created is None or abs(created - at) >= SAME_MOMENT:
        return turn
    return Turn.of(turn.record, turn.index, turn.saw, turn.score, turn.id, at, besides=turn.besides)


def _less_known(told: Mapping[str, Any], author: str) -> dict[str, Any]:
    """What is known of a turn, less the author where the entry names them already."""
    return {name: value for name, value in told.items() if name != "author" or value != author_of(author)}


def _turn_to_json(turn: Turn, before: SessionState, earlier: Sequence[Turn], at: float) -> dict[str, Any]:
    written = {"id": turn.id, "index": turn.index, **record_to_json(turn.record, f"turn {turn.index}")}
    if turn.score is not None:
        written["score"] = turn.score
    if turn.stopped:
        written["stopped"] = turn.stopped
    created = None if turn.created_at is None else turn.created_at.timestamp()
    if created is None or abs(created - at) >= SAME_MOMENT:
        written["at"] = created
    saw, seed = turn.saw, before.seed or ()
    seen = _seen(saw, [*before.turns, *earlier])
    if seen is not None and (saw.view.seed is seed or _messages(saw.view.seed) == _messages(seed)):
        written["saw"] = [len(saw.seed()), *seen[: 1 if seen[1:] == [turn.index - 1] else 2]]
        # A turn hides what it does not have anyway, the history above all: that need not be written a thousand times.
        hidden = saw.view.exclude.intersection(*[{name for record in saw.records() for name in record.shape.names}])
        if hidden:
            written["hides"] = sorted(hidden)
        if saw.view.only is not None:
            written["only"] = sorted(saw.view.only)
    else:  # a history from outside
        written["history"] = history_to_json(saw.history(), f"turn {turn.index}.history")
    return written


def _seen(saw: Snapshot, turns: Sequence[Turn]) -> list[int] | None:
    """The indexes of the first and the last turn that were seen, nothing when none was; None if it saw others."""
    seen = saw.records()
    if not seen:
        return []
    # Nearly always the newest; not those that ended while the call ran.
    last = next((place for place in range(len(turns), 0, -1) if turns[place - 1].record is seen[-1]), 0)
    found = turns[max(0, last - len(seen)) : last]
    same = len(found) == len(seen) and all(turn.record is record for turn, record in zip(found, seen, strict=True))
    return [found[0].index, found[-1].index] if same else None


def _messages(records: Sequence[Record]) -> list[dict[str, Any]]:
    return [whole_message(record) for record in records]


def _dumps(body: Any) -> str:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate: JSON can write it, UTF-8 cannot
        return json.dumps(body, separators=(",", ":"), allow_nan=False)
    return text
