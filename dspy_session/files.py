"""How a state and a session look in a file, and writing one so that a crash leaves the old file.

The layout is that of dspy-session 0.1.2 with more keys: ``turns`` holds what was said, and ``snapshots`` beside it says
in numbers which records each turn saw, so that a file grows in step with its turns.

- ``records``: records that a snapshot needs although their turn is gone (trimmed, undone).
- ``views``: per view its seed, ``exclude`` and ``only``.
- ``logs``: each a list of ``[first, count]`` runs over the records, where the turns' own come first, then ``records``.
- ``saw``: per turn ``[view, seed_from, log, start, stop]``.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dspy

from dspy_session.codec import from_json, to_json
from dspy_session.errors import StateFileError
from dspy_session.feedback import Feedback
from dspy_session.history import Snapshot, View, whole_message
from dspy_session.turn import Besides, Record, Turn

if TYPE_CHECKING:
    from dspy_session.state import SessionState

STATE_VERSION = 1


# --- histories and records ---------------------------------------------------------------------------------------


def history_to_json(history: dspy.History | None, where: str = "initial_history") -> dict[str, Any] | None:
    """A history as JSON values."""
    if history is None:
        return None
    return {"messages": [to_json(dict(message), where) for message in history.messages]}


def history_from_json(data: Any, where: str = "initial_history") -> dspy.History | None:
    """The history that ``history_to_json`` wrote; a bare list of messages is understood too."""
    if data is None:
        return None
    messages = data.get("messages") if isinstance(data, dict) else data
    if not isinstance(messages, list):
        raise StateFileError(f"{where} is damaged: expected messages, a list of objects")
    return dspy.History.model_construct(messages=[_message_from_json(message, where) for message in messages])


def _message_from_json(data: Any, where: str) -> dict[str, Any]:
    message = from_json(data, where)
    if not isinstance(message, dict) or not all(isinstance(name, str) for name in message):
        raise StateFileError(f"{where} is damaged: expected messages, a list of objects")
    return message


def record_to_json(record: Record, where: str) -> dict[str, Any]:
    """What was said, as JSON values."""
    return {
        "inputs": to_json(record.inputs(), f"{where}.inputs"),
        "outputs": to_json(record.outputs(), f"{where}.outputs"),
    }


def record_from_json(data: Any, where: str) -> Record:
    """The record that ``record_to_json`` wrote."""
    if not isinstance(data, dict):
        raise StateFileError(f"{where} is damaged: expected an object")
    found = []
    for part in ("inputs", "outputs"):
        values = from_json(data.get(part), f"{where}.{part}")
        if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
            raise StateFileError(f"{where}.{part} is damaged: expected an object")
        found.append(values)
    return Record(*found)


# --- turns and what they saw --------------------------------------------------------------------------------------


def turns_to_json(turns: Sequence[Turn]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The turns, and the ``snapshots`` table beside them."""
    written = []
    table = _SnapshotTable(turns)
    for turn in turns:
        entry: dict[str, Any] = {"index": turn.index, **record_to_json(turn.record, f"turn {turn.index}")}
        entry["score"] = to_json(turn.score, f"turn {turn.index}.score")
        entry["id"] = turn.id
        if turn.stopped:
            entry["stopped"] = turn.stopped
        if turn.feedback:
            entry["feedback"] = [_feedback_to_json(each) for each in turn.feedback]
        if turn.created_at is not None:
            entry["created_at"] = turn.created_at.isoformat()
        written.append(entry)
        table.add(turn.saw)
    return written, table.to_json()


class _SnapshotTable:
    """Numbers for everything that snapshots share."""

    def __init__(self, turns: Sequence[Turn]) -> None:
        # The objects live as long as the turns that are being written, so identity is a safe name for them here.
        self._kept: list[Any] = [turn.record for turn in turns]
        self._places = {id(record): place for place, record in enumerate(self._kept)}
        self._turns = len(self._kept)
        self._views: dict[int, int] = {}
        self._views_json: dict[str, dict[str, Any]] = {}
        self._logs: dict[int, tuple[int, Sequence[Record], int, int]] = {}
        self._saw: list[tuple[Snapshot, int]] = []
        self._holding: list[Any] = []

    def add(self, saw: Snapshot) -> None:
        if id(saw.view) not in self._views:
            written = _view_to_json(saw.view)
            text = json.dumps(written)  # each time that a state is loaded, its next turns see through a new view
            self._views_json.setdefault(text, written)
            self._views[id(saw.view)] = list(self._views_json).index(text)
            self._holding.append(saw.view)
        number, log, first, last = self._logs.get(id(saw.log), (len(self._logs), saw.log, saw.start, saw.stop))
        self._logs[id(saw.log)] = (number, log, min(first, saw.start), max(last, saw.stop))
        self._saw.append((saw, self._views[id(saw.view)]))

    def to_json(self) -> dict[str, Any]:
        logs = [self._runs(log[first:last]) for _, log, first, last in self._logs.values()]
        saw = []
        for snapshot, view in self._saw:
            number, _, first, _ = self._logs[id(snapshot.log)]
            saw.append([view, snapshot.seed_from, number, snapshot.start - first, snapshot.stop - first])
        records = [record_to_json(record, "records") for record in self._kept[self._turns :]]
        return {"records": records, "views": list(self._views_json.values()), "logs": logs, "saw": saw}

    def _runs(self, records: Sequence[Record]) -> list[list[int]]:
        runs: list[list[int]] = []
        for record in records:
            place = self._places.get(id(record))
            if place is None:
                place = self._places[id(record)] = len(self._kept)
                self._kept.append(record)
            if runs and runs[-1][0] + runs[-1][1] == place:
                runs[-1][1] += 1
            else:
                runs.append([place, 1])
        return runs


def _view_to_json(view: View) -> dict[str, Any]:
    return {
        "seed": [to_json(whole_message(record), "seed") for record in view.seed],
        "exclude": sorted(view.exclude),
        "only": None if view.only is None else sorted(view.only),
    }


def _view_from_json(data: Any) -> View:
    seed = tuple(Record(_message_from_json(message, "seed"), {}) for message in data["seed"])
    return View(
        seed, _names_from_json(data["exclude"]), None if data["only"] is None else _names_from_json(data["only"])
    )


def _names_from_json(data: Any) -> frozenset[str]:
    if not isinstance(data, list) or not all(isinstance(name, str) for name in data):
        raise StateFileError("snapshots is damaged: expected names of fields")
    return frozenset(data)


def turns_from_json(entries: Any, snapshots: Any, view: View, window: int | None) -> list[Turn]:
    """The turns that ``turns_to_json`` wrote.

    Args:
        entries: The list of turns.
        snapshots: The table beside it; None in files of 0.1.2, where each turn saw all turns before it.
        view: The fields and the seed that such a file's turns saw.
        window: How many messages such a file's turns saw at most.
    """
    if not isinstance(entries, list):
        raise StateFileError("turns is damaged: expected a list")
    records = [record_from_json(entry, f"turn {place}") for place, entry in enumerate(entries)]
    if snapshots is None:
        saw = [Snapshot.last(window, view, records, 0, place) for place in range(len(records))]
    else:
        try:
            saw = _snapshots_from_json(snapshots, records)
        except StateFileError:
            raise
        except Exception as error:
            raise StateFileError(f"snapshots is damaged ({error})") from error
    return [_turn(entry, place, records[place], saw[place]) for place, entry in enumerate(entries)]


def _snapshots_from_json(data: Any, records: list[Record]) -> list[Snapshot]:
    gone = [record_from_json(entry, "records") for entry in data["records"]]
    views = [_view_from_json(view) for view in data["views"]]
    past = [*gone, *records]  # one list for all snapshots that lie in it, as it was before they were saved
    logs = [_log_from_json(runs, past, len(gone)) for runs in data["logs"]]
    saw = []
    for view, seed_from, log_number, start, stop in data["saw"]:
        log, first, count = logs[log_number]
        if not (0 <= start <= stop <= count and 0 <= seed_from <= len(views[view].seed)) or min(view, log_number) < 0:
            raise StateFileError("snapshots is damaged: a turn saw records outside its log")
        saw.append(Snapshot(views[view], seed_from, log, first + start, first + stop))
    if len(saw) != len(records):
        raise StateFileError("snapshots is damaged: it does not have one entry for each turn")
    return saw


def _log_from_json(runs: Any, past: list[Record], gone: int) -> tuple[list[Record], int, int]:
    """A log as the list that it lies in, where it starts there, and its length.

    Args:
        runs: Pairs of a number and a count. Records are numbered turns first.
        past: All records, those that are gone first.
        gone: How many of them.
    """
    turns = len(past) - gone
    pieces: list[list[int]] = []
    for first, count in runs:
        if not 0 <= first <= first + count <= len(past):
            raise StateFileError("snapshots is damaged: a run of records lies outside the file")
        of_turns = max(0, min(count, turns - first))
        for start, length in ((first + gone, of_turns), (first + of_turns - turns, count - of_turns)):
            if length and pieces and sum(pieces[-1]) == start:
                pieces[-1][1] += length
            elif length:
                pieces.append([start, length])
    if len(pieces) == 1:
        return past, pieces[0][0], pieces[0][1]
    log = [record for start, length in pieces for record in past[start : start + length]]
    return log, 0, len(log)


def _turn(entry: Any, place: int, record: Record, saw: Snapshot) -> Turn:
    index, score = entry.get("index", place), from_json(entry.get("score"))
    if type(index) is not int or not (score is None or isinstance(score, (int, float))):
        raise StateFileError(f"turn {place} is damaged: expected a whole number as index and a number as score")
    created = entry.get("created_at")
    try:
        seconds = None if created is None else datetime.datetime.fromisoformat(created).timestamp()
    except (TypeError, ValueError, OverflowError):
        raise StateFileError(f"turn {place}.created_at is damaged: expected an ISO 8601 time") from None
    identity = entry.get("id")
    if not (identity is None or isinstance(identity, str)):
        raise StateFileError(f"turn {place}.id is damaged: expected a text")
    try:
        besides = Besides(entry.get("stopped", ""), tuple(map(_feedback_from_json, entry.get("feedback", ()))))
    except (TypeError, ValueError, AttributeError):
        raise StateFileError(f"turn {place}.feedback is damaged: expected a list of objects") from None
    return Turn.of(record, index, saw, score, identity, seconds, besides=besides)


def _feedback_to_json(feedback: Feedback) -> dict[str, Any]:
    written = asdict(feedback)
    written["at"] = None if feedback.at is None else feedback.at.isoformat()
    return {name: value for name, value in written.items() if value not in (None, "")}


def _feedback_from_json(data: Mapping[str, Any]) -> Feedback:
    at = data.get("at")
    known = {name: value for name, value in data.items() if name in Feedback.__slots__}
    return Feedback(**{**known, "at": None if at is None else datetime.datetime.fromisoformat(at)})


# --- states -------------------------------------------------------------------------------------------------------


def state_to_dict(state: SessionState) -> dict[str, Any]:
    """A state as JSON values, version 1."""
    turns, snapshots = turns_to_json(state.turns)
    return {
        "version": STATE_VERSION,
        "turns": turns,
        "initial_history": history_to_json(state.initial_history),
        "l2_memory": state.l2_memory,
        "node_states": {path: state_to_dict(node) for path, node in state.node_states.items()},
        "snapshots": snapshots,
        "next_index": state.next_index,
    }


def state_from_dict(
    data: Any, source: str = "", *, view: View | None = None, window: int | None = None
) -> SessionState:
    """The state that ``state_to_dict`` wrote. ``source`` names the file in error messages."""
    with naming(source):
        if not isinstance(data, Mapping):
            raise StateFileError("a session state is an object")
        version = data.get("version", STATE_VERSION)
        if version != STATE_VERSION:
            raise StateFileError(f"Unsupported session state version: {version}")
        return read_state(data, view, window)


def read_state(data: Mapping[str, Any], view: View | None = None, window: int | None = None) -> SessionState:
    """The state in an object that holds one, whatever else it holds."""
    from dspy_session.state import SessionState

    seed = history_from_json(data.get("initial_history"))
    memory, nodes = data.get("l2_memory", ""), data.get("node_states") or {}
    if not isinstance(memory, str) or not isinstance(nodes, dict):
        raise StateFileError("l2_memory or node_states is damaged: expected a text and an object")
    if view is None:
        view = View(Snapshot.of(seed).seed())
    turns = turns_from_json(data.get("turns", []), data.get("snapshots"), view, window)
    state = SessionState(turns, seed, memory, {path: state_from_dict(node) for path, node in nodes.items()})
    next_index = data.get("next_index")
    if next_index is not None and type(next_index) is not int:
        raise StateFileError("next_index is damaged: expected a whole number")
    if next_index is not None:
        state.next_index = next_index
    return state


# --- the file itself ----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def naming(source: str) -> Iterator[None]:
    """Errors inside name the file that they are about."""
    try:
        yield
    except StateFileError as error:
        if not source or source in str(error):
            raise
        raise StateFileError(f"{error} ({source})") from error


def read_json(path: str | PathLike[str]) -> Any:
    """What a JSON file holds.

    Raises:
        StateFileError: The file is no JSON; the message names it and the line.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        return json.loads(text)
    except UnicodeDecodeError as error:
        raise StateFileError(f"{path} is damaged: it is not UTF-8 text (byte {error.start})") from error
    except RecursionError:
        raise StateFileError(f"{path} is damaged: it is nested too deeply") from None
    except ValueError as error:
        raise StateFileError(f"{path} is damaged: it is not JSON ({error})") from error


def write_json(path: str | PathLike[str], data: Any) -> None:
    """Write a JSON file whole or not at all: a crash leaves the old file."""
    target = Path(path)
    text = json.dumps(data, indent=2, allow_nan=False)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            Path(temporary).chmod(target.stat().st_mode & 0o777)  # a new file is its owner's alone: it holds talk
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
