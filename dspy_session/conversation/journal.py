"""A conversation as a journal: what every change looks like in a store, and how a state comes back from them. Pure.

An entry of kind ``"call"`` holds what one call changed (an ``Outcome``), ``"undo"`` and ``"reset"`` what people did.
Turns say in two numbers which messages they saw, because the messages stand in the entries before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import dspy

from dspy_session.errors import StateFileError
from dspy_session.files import history_from_json, history_to_json, record_from_json, record_to_json
from dspy_session.history import Snapshot, View, whole_message
from dspy_session.state import Outcome, SessionState
from dspy_session.stores import Entry
from dspy_session.turn import Record, Turn


def call_entry(outcome: Outcome, state: SessionState, event_id: str, at: float) -> Entry:
    """The entry for what a call changes in ``state``.

    Raises:
        UnsupportedValueError: A value cannot be written and read back equal; the message names its field.
    """
    return Entry("call", _dumps(_outcome_to_json(outcome, state)), event_id, at)


def undo_entry(steps: int, at: float) -> Entry:
    """The entry for removing the newest ``steps`` turns."""
    return Entry("undo", _dumps({"steps": steps}), "", at)


def reset_entry(at: float) -> Entry:
    """The entry for starting again."""
    return Entry("reset", "{}", "", at)


def replay(entries: Iterable[Entry], source: str) -> SessionState:
    """The state that the entries lead to.

    Raises:
        StateFileError: An entry is damaged; the message says which.
    """
    state = SessionState()
    for place, entry in enumerate(entries):
        try:
            apply_entry(state, entry)
        except StateFileError as error:
            raise StateFileError(f"{source}: entry {place} ({entry.kind}): {error}") from error
        except Exception as error:
            raise StateFileError(f"{source}: entry {place} ({entry.kind}) is damaged ({error})") from error
    return state


def apply_entry(state: SessionState, entry: Entry) -> None:
    """Make the change that an entry holds."""
    body = json.loads(entry.body)
    if entry.kind == "call":
        state.apply(_outcome_from_json(body, state))
    elif entry.kind == "undo":
        for _ in range(body["steps"]):
            state.pop()
    elif entry.kind == "reset":
        state.reset()
    else:
        raise StateFileError(f"unknown kind of entry {entry.kind!r}; it was written by a newer version")


def _dumps(body: Any) -> str:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate: JSON can write it, UTF-8 cannot
        return json.dumps(body, separators=(",", ":"), allow_nan=False)
    return text


def _outcome_to_json(outcome: Outcome, state: SessionState) -> dict[str, Any]:
    before = _before(state, outcome.cleared, outcome.new_seed, outcome.seed)
    turns = outcome.turns
    written = [_turn_to_json(turn, before, turns[:place]) for place, turn in enumerate(turns)]
    body: dict[str, Any] = {"turns": written}
    if outcome.cleared:
        body["cleared"] = True
    if outcome.new_seed:
        body["seed"] = history_to_json(outcome.seed, "seed")
    if outcome.l2_memory is not None:
        body["memory"] = outcome.l2_memory
    if outcome.max_stored_turns is not None:
        body["keep"] = outcome.max_stored_turns
    nodes = {path: node for path, node in outcome.nodes.items() if not node.empty}
    if nodes:
        body["nodes"] = {
            path: _outcome_to_json(node, state.node_states.get(path, SessionState())) for path, node in nodes.items()
        }
    return body


def _outcome_from_json(body: dict[str, Any], state: SessionState) -> Outcome:
    seed, cleared, new_seed = history_from_json(body.get("seed"), "seed"), bool(body.get("cleared")), "seed" in body
    before = _before(state, cleared, new_seed, seed)
    turns: list[Turn] = []
    for written in body["turns"]:
        turns.append(_turn_from_json(written, before, turns))
    nodes = body.get("nodes", {})
    return Outcome(
        turns=tuple(turns),
        cleared=cleared,
        new_seed=new_seed,
        seed=seed,
        l2_memory=body.get("memory"),
        nodes={
            path: _outcome_from_json(node, state.node_states.get(path, SessionState())) for path, node in nodes.items()
        },
        max_stored_turns=body.get("keep"),
    )


def _before(state: SessionState, cleared: bool, new_seed: bool, seed: dspy.History | None) -> SessionState:
    """What the turns of an outcome build on."""
    if not cleared and not new_seed:
        return state
    return SessionState(() if cleared else state.turns, seed if new_seed else state.initial_history)


def _turn_to_json(turn: Turn, before: SessionState, earlier: Sequence[Turn]) -> dict[str, Any]:
    written = {"id": turn.id, "index": turn.index, **record_to_json(turn.record, f"turn {turn.index}")}
    if turn.score is not None:
        written["score"] = turn.score
    if turn.created_at is not None:
        written["at"] = turn.created_at.timestamp()
    saw, seed = turn.saw, before.seed or ()
    missed = _missed(saw, before, earlier)
    if missed is not None and (saw.view.seed is seed or _messages(saw.view.seed) == _messages(seed)):
        written["saw"] = [len(saw.seed()), len(saw.records())]
        if missed:
            written["missed"] = missed
        if saw.view.exclude:
            written["hides"] = sorted(saw.view.exclude)
        if saw.view.only is not None:
            written["only"] = sorted(saw.view.only)
    else:  # a history from outside
        written["history"] = history_to_json(saw.history(), f"turn {turn.index}.history")
    return written


def _missed(saw: Snapshot, before: SessionState, earlier: Sequence[Turn]) -> int | None:
    """How many of the turns before a turn it did not see, because they ended while it ran; None if it saw others."""
    seen = saw.records()
    if not seen:
        return 0
    log, stop = _log(before, earlier)
    if log is saw.log and saw.stop == stop:
        return 0
    last = next((place for place in range(stop, 0, -1) if log[place - 1] is seen[-1]), 0)
    found = log[max(0, last - len(seen)) : last]
    same = len(found) == len(seen) and all(one is other for one, other in zip(found, seen, strict=True))
    return stop - last if same else None


def _messages(records: Sequence[Record]) -> list[dict[str, Any]]:
    return [whole_message(record) for record in records]


def _turn_from_json(written: dict[str, Any], before: SessionState, earlier: list[Turn]) -> Turn:
    record = record_from_json(written, "turn")
    if "history" in written:
        saw = Snapshot.of(history_from_json(written["history"], "history"))
    else:
        seed = before.seed or ()
        seen_of_seed, seen = written["saw"]
        only = None if "only" not in written else frozenset(written["only"])
        view = View(seed, frozenset(written.get("hides", ())), only)
        log, stop = _log(before, earlier)
        stop -= written.get("missed", 0)
        if not (0 <= seen_of_seed <= len(seed) and 0 <= seen <= stop <= len(log)):
            raise StateFileError("a turn saw more than was said before it")
        saw = Snapshot(view, len(seed) - seen_of_seed, log, stop - seen, stop)
    return Turn.of(record, written["index"], saw, written.get("score"), written["id"], written.get("at"))


def _log(before: SessionState, earlier: Sequence[Turn]) -> tuple[Sequence[Record], int]:
    """The records before a turn, in the list that they share where there is one."""
    if earlier:
        records = [turn.record for turn in (*before.turns, *earlier)]
        return records, len(records)
    shared = before.saw(None, View())
    return shared.log, shared.stop
