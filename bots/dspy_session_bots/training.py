"""Turns that people were content with, as a training set."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any, TextIO

from dspy_session.conversation.entries import TURN
from dspy_session.conversation.restoring import past_turns
from dspy_session.examples import example_to_json
from dspy_session.stores import Entry, Store
from dspy_session.turn import Turn
from dspy_session_bots.feedback import to_json
from dspy_session_bots.keeping import refuse_sealed
from dspy_session_bots.moments import iso
from dspy_session_bots.tables import Bar, json_line


async def write_examples(
    store: Store, keys: Sequence[str], min_score: float, agent: str | None, file: TextIO, bar: Bar
) -> int:
    """Write a line for each turn that is good enough; how many those were.

    Args:
        store: Where the conversations are.
        keys: Which ones.
        min_score: What a turn must be worth.
        agent: Which agent's turns, by its label; those of all if None.
        file: Where to write.
        bar: Told of each conversation that was looked through.

    Raises:
        StoreError: One cannot be read.
        UnsupportedValueError: A turn holds what cannot be written.
    """
    written: set[str] = set()  # a fork holds the turns of the conversation that it began as
    for key in keys:
        async for turn in _good_turns(store, key, min_score, agent):
            if turn.id not in written:
                file.write(f"{json_line(_line(key, turn))}\n")
                written.add(turn.id)
        bar.advance()
    return len(written)


async def _good_turns(store: Store, key: str, min_score: float, agent: str | None) -> AsyncIterator[Turn]:
    entries: list[Entry] = []
    async for entry in store.entries(key):
        refuse_sealed(key, entry)
        entries.append(entry)
    turns = past_turns(entries, f"conversation {key!r}")
    astray = _answers_to_other_words(entries)
    others = set() if agent is None else _turns_of_others(entries, agent)
    for turn in turns:
        # What ends before its end was not what the agent had to say.
        is_whole = turn.outputs and not turn.stopped and turn.id not in astray and turn.id not in others
        if is_whole and turn.score is not None and turn.score >= min_score:
            yield turn


def _answers_to_other_words(entries: Sequence[Entry]) -> set[str]:
    """The ids of turns whose message was changed or deleted since, while the answer stayed as it was."""
    found: dict[str, bool] = {}
    emptied: set[str] = set()
    for entry in entries:
        if entry.kind == "edit" and entry.about is not None and entries[entry.about].kind == TURN:
            before, now = json.loads(entries[entry.about].body), json.loads(entry.body)
            if now.get("deleted"):  # from both: they say the same now
                emptied.add(before["id"])
            asks_else = now["inputs"] != before["inputs"] or before["id"] in emptied
            found[before["id"]] = asks_else and now["outputs"] == before["outputs"]
    return {turn_id for turn_id, is_astray in found.items() if is_astray}


def _turns_of_others(entries: Sequence[Entry], agent: str) -> set[str]:
    """The ids of turns that another agent has answered."""
    bodies = [json.loads(entry.body) for entry in entries if entry.kind == TURN]
    return {body["id"] for body in bodies if body.get("told", {}).get("agent", "") != agent}


def _line(key: str, turn: Turn) -> dict[str, Any]:
    return {
        **example_to_json(turn),
        "score": turn.score,
        "feedback": [to_json(each) for each in turn.feedback],
        "key": key,
        "turn_id": turn.id,
        "at": None if turn.created_at is None else iso(turn.created_at.timestamp()),
    }
