"""How a state comes back from a conversation's journal, from its newest entries or from all. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from dspy_session.conversation.entries import FORGOTTEN, MEMORY, SEED, TURN, body_of, feedback_of
from dspy_session.errors import SessionError, StateFileError
from dspy_session.feedback import Feedback, score_of, standing
from dspy_session.files import history_from_json, record_from_json
from dspy_session.history import Snapshot, View, seed_records
from dspy_session.state import SessionState
from dspy_session.stores import Entry, Journal
from dspy_session.turn import Besides, Record, Turn


class ShallowError(SessionError):
    """More of the conversation has to be read."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.depth = depth


@dataclass(slots=True)
class Restored:
    """A state that was read from a journal.

    Args:
        state: The state.
        length: How many entries the journal has.
        marks: Its marks; those that named a turn that was forgotten name the one before it.
        numbers: The numbers of the entries of its own turns, oldest first.
        beyond: The number of the turn before those, which was not read or is not kept; None when there is none.
    """

    state: SessionState
    length: int = 0
    marks: Mapping[str, int] = field(default_factory=dict)
    numbers: list[int] = field(default_factory=list)
    beyond: int | None = None

    def grow(self, entries: Sequence[Entry], marks: Mapping[str, int], *, cleared: bool = False) -> None:
        """Take over what was written; the state itself is changed by whoever wrote it."""
        if cleared:
            self.numbers, self.beyond = [], None
        newest, own = marks.get("turn:"), []
        for number in range(self.length + len(entries) - 1, self.length - 1, -1):
            if number == newest:
                own.append(number)
                newest = entries[number - self.length].previous
        self.numbers += reversed(own)
        self.length += len(entries)
        self.marks = marks

    def keep_in_step(self) -> None:
        """Leave out the numbers of turns that the state has dropped from its beginning."""
        surplus = len(self.numbers) - len(self.state)
        if surplus > 0:
            self.beyond = self.numbers[surplus - 1]
            del self.numbers[:surplus]


def restore(journal: Journal, source: str, window: int | None = None) -> Restored:
    """The state that a journal leads to.

    Args:
        journal: The conversation, as deep as it was read.
        source: What it is called, for messages.
        window: How many of the newest turns are wanted; None for all that were read.

    Raises:
        ShallowError: It was not read deep enough to tell what those turns saw.
        StateFileError: An entry is damaged; the message says which.
    """
    marks = dict(journal.marks)
    restored = Restored(SessionState(), journal.length, marks)
    for mark, number in journal.marks.items():
        kind, ledger = mark.split(":", 1)
        if kind not in (TURN, SEED, MEMORY):
            continue
        state = _ledger(restored.state, ledger)
        if kind == TURN:
            seed = _seed_of(journal, ledger, source)
            newest, numbers, beyond = _restore_turns(state, journal, number, seed, source, window)
            # Chains go on from turns that stand: then each of their entries has an index above that of the one before.
            if newest is None:
                del marks[mark]
            else:
                marks[mark] = newest
            if not ledger:
                restored.numbers, restored.beyond = numbers, beyond
        elif kind == SEED:
            state.seed = _seed_of(journal, ledger, source)
        elif kind == MEMORY:
            state.l2_memory = body_of(journal, number, source).get("text", "")
    return restored


def _restore_turns(
    state: SessionState,
    journal: Journal,
    newest: int,
    seed: tuple[Record, ...] | None,
    source: str,
    window: int | None,
) -> tuple[int | None, list[int], int | None]:
    """Give a state its turns; the number of the newest one, of those that it keeps, and of the turn before them."""
    chain = list(_chain(journal, newest))[::-1]
    if not chain:
        raise StateFileError(f"{source}: entry {newest} is missing")
    reader = _Reader(journal, source, seed)
    turns = [(number, turn) for number in chain if (turn := reader.read(number)) is not None]
    unread = journal.entries[chain[0]].previous
    if not turns:
        if unread is not None:  # no index is above the number of its entry
            state.next_index = newest + 1
        return unread, [], unread
    newest = turns[-1][0]
    keep = body_of(journal, newest, source).get("keep")
    limits = [limit for limit in (window, keep) if limit is not None]
    kept = turns[max(0, len(turns) - min(limits)) :] if limits else turns
    if not kept:
        state.next_index = turns[-1][1].index + 1
        return newest, [], newest
    if unread is not None:
        needed = [first for number, first in reader.shallow.items() if number >= kept[0][0]]
        if needed:
            raise ShallowError(len(chain) - chain.index(newest) + turns[-1][1].index - min(needed))
    for _, turn in kept:
        state.append(turn)
    return newest, [number for number, _ in kept], journal.entries[kept[0][0]].previous


def past_turns(entries: Iterable[Entry], source: str) -> list[Turn]:
    """Every turn of the conversation itself that was ever recorded, also those that were taken back, in order.

    Raises:
        StateFileError: An entry is damaged; the message says which.
    """
    read = dict(enumerate(entries))
    journal = Journal(len(read), {}, read)
    # A conversation's first change may have its seed at the end.
    seeds = (number for number, entry in read.items() if entry.kind == SEED)
    first = next(seeds, None)
    reader = _Reader(journal, source, None if first is None else _seed_from(body_of(journal, first, source)))
    found: list[Turn] = []
    for number, entry in read.items():
        if entry.kind == SEED:
            reader.seed = _seed_from(body_of(journal, number, source))
        elif entry.kind == TURN and "ledger" not in body_of(journal, number, source):
            turn = reader.read(number)
            if turn is not None:
                found.append(turn)
    return found


def _chain(journal: Journal, number: int | None) -> Iterator[int]:
    """The entries of a chain as far as they were read, newest first."""
    while number is not None and number in journal.entries:
        yield number
        number = journal.entries[number].previous


class _Reader:
    """Makes turns of the entries of a chain, oldest first; those that follow one another share a list of records."""

    def __init__(self, journal: Journal, source: str, seed: tuple[Record, ...] | None) -> None:
        self.seed = seed
        self.shallow: dict[int, int] = {}
        """The turns that saw more than was read, with the index of the first turn that they saw."""
        self._journal = journal
        self._source = source
        self._views: dict[tuple[Any, ...], View] = {}
        self._ends: dict[int, _End] = {}
        self._said, self._edits = _notes(journal, source)
        self._edited_at = sorted(at for edits in self._edits.values() for at, _ in edits)
        self._edited_logs: dict[tuple[int, int], list[Record]] = {}

    def read(self, number: int) -> Turn | None:
        """The turn of an entry; None when it was forgotten."""
        entry = self._journal.entries[number]
        end = self._goes_on_from(entry.previous)
        if entry.kind == FORGOTTEN:
            self._ends[number] = end.without_words()
            return None
        body = body_of(self._journal, number, self._source)
        try:
            record = record_from_json(body, "turn")
            saw = self._saw(number, body, end)
            besides = Besides(body.get("stopped", ""), standing(self._said.get(number, ())))
            at = body.get("at", entry.at)
            turn = Turn.of(record, body["index"], saw, body.get("score"), body["id"], at, besides=besides)
        except StateFileError as error:
            raise StateFileError(f"{self._source}: entry {number} ({entry.kind}): {error}") from error
        except Exception as error:
            raise StateFileError(f"{self._source}: entry {number} ({entry.kind}) is damaged ({error})") from error
        self._ends[number] = end.then(record, turn.index, number)
        if number in self._edits:  # as it is now; what turns after it saw is told by their numbers
            edited = self._edits[number][-1][1]
            turn = Turn.of(edited, turn.index, saw, turn.score, turn.id, body.get("at", entry.at), besides=besides)
        if any(said.signal is None for said in self._said.get(number, ())):
            turn.score = score_of(besides.feedback)
        return turn

    def _goes_on_from(self, previous: int | None) -> _End:
        """Where an entry's chain stands before it."""
        end = None if previous is None else self._ends.get(previous)
        return _End([], [], [], 0, 0) if end is None else end

    def _saw(self, number: int, body: Mapping[str, Any], end: _End) -> Snapshot:
        if "history" in body:
            return Snapshot.of(history_from_json(body["history"], "history"))
        seed = self.seed or ()
        seen_of_seed, *seen = body["saw"]
        if not 0 <= seen_of_seed <= len(seed):
            raise StateFileError("a turn saw more than was said before it")
        start = stop = end.count
        if seen:
            first, last = seen if len(seen) > 1 else (*seen, body["index"] - 1)
            start, stop = bisect_left(end.indexes, first, hi=stop), bisect_right(end.indexes, last, hi=stop)
            unread = body["index"] - first > end.entries
            if unread and not start and (not end.count or end.indexes[0] > first):
                self.shallow[number] = first
        log = self._as_seen_by(number, end) if self._edits else end.log
        return Snapshot(self._view(seed, body), len(seed) - seen_of_seed, log, start, stop)

    def _view(self, seed: tuple[Record, ...], body: Mapping[str, Any]) -> View:
        hides, only = frozenset(body.get("hides", ())), body.get("only")
        key = (id(seed), hides, None if only is None else frozenset(only))
        return self._views.setdefault(key, View(seed, key[1], key[2]))

    def _as_seen_by(self, number: int, end: _End) -> list[Record]:
        """The records before an entry, as they were when it was written: one list for all that saw the same edits."""
        edits = bisect_left(self._edited_at, number)
        if not edits:
            return end.log
        log = self._edited_logs.setdefault((id(end.log), edits), [])
        for record, place in zip(end.log[len(log) : end.count], end.numbers[len(log) : end.count], strict=True):
            edit = next((edit for at, edit in reversed(self._edits.get(place, ())) if at < number), None)
            log.append(edit or record)
        return log


@dataclass(frozen=True, slots=True)
class _End:
    """Where a chain stands after one of its entries.

    Args:
        log: The records of its turns; chains that go on from one another share it.
        indexes: Their indexes, rising.
        numbers: The numbers of their entries.
        count: How many turns there are up to here.
        entries: How many entries, also of turns that were forgotten.
    """

    log: list[Record]
    indexes: list[int]
    numbers: list[int]
    count: int
    entries: int

    def without_words(self) -> _End:
        """After a turn that was forgotten."""
        return _End(self.log, self.indexes, self.numbers, self.count, self.entries + 1)

    def then(self, record: Record, index: int, number: int) -> _End:
        """After one more turn."""
        log, indexes, numbers = self.log, self.indexes, self.numbers
        if len(log) > self.count:  # another chain went on from here
            log, indexes, numbers = log[: self.count], indexes[: self.count], numbers[: self.count]
        log.append(record)
        indexes.append(index)
        numbers.append(number)
        return _End(log, indexes, numbers, self.count + 1, self.entries + 1)


def _notes(journal: Journal, source: str) -> tuple[dict[int, list[Feedback]], dict[int, list[tuple[int, Record]]]]:
    """What was said of turns, and edits, by the number of the turn that they are about."""
    said: dict[int, list[Feedback]] = {}
    edits: dict[int, list[tuple[int, Record]]] = {}
    for number, entry in sorted(journal.entries.items()):
        if entry.about is None:
            continue
        if entry.kind in ("score", "signal"):
            said.setdefault(entry.about, []).append(feedback_of(entry, body_of(journal, number, source)))
        elif entry.kind == "edit":
            record = record_from_json(body_of(journal, number, source), "edit")
            edits.setdefault(entry.about, []).append((number, record))
    return said, edits


def _seed_of(journal: Journal, ledger: str, source: str) -> tuple[Record, ...] | None:
    number = journal.marks.get(f"seed:{ledger}")
    return None if number is None else _seed_from(body_of(journal, number, source))


def _seed_from(body: Any) -> tuple[Record, ...] | None:
    history = history_from_json(body or None, "seed")  # a forgotten one is {}
    return None if history is None else seed_records(history)


def _ledger(state: SessionState, ledger: str) -> SessionState:
    """The state of a ledger below ``state``."""
    for part in ledger.split("/") if ledger else ():
        state = state.node_states.setdefault(unquote(part), SessionState())
    return state
