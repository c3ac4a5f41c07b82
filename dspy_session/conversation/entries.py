"""What an entry of a journal says, by itself. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from dspy_session.codec import from_json
from dspy_session.errors import StateFileError, StoreError
from dspy_session.feedback import Feedback
from dspy_session.stores import SHARED, Entry, Journal
from dspy_session.stores.sealing import is_sealed

TURN, SEED, MEMORY = "turn", "seed", "memory"
FORGOTTEN = "forgotten"
KINDS = frozenset(
    {
        TURN,
        SEED,
        MEMORY,
        FORGOTTEN,
        "cleared",
        "reset",
        "undo",
        "forked",
        "failed",
        "score",
        "signal",
        "edit",
        "aside",
        "agent",
        "deleted",
        "asked",
        "decided",
        SHARED,
    }
)
"""All kinds that this version writes or reads; another one is of a newer version."""


def body_of(journal: Journal, number: int, source: str) -> Any:
    """What an entry holds.

    Args:
        journal: The conversation.
        number: Which entry.
        source: What the conversation is called, for messages.

    Raises:
        StateFileError: It is not there, is damaged, or is of a kind that is not known.
        StoreError: It is encrypted.
    """
    entry = journal.entries.get(number)
    if entry is None:
        raise StateFileError(f"{source}: entry {number} is missing")
    if is_sealed(entry.body):
        raise StoreError(f"{source} is encrypted: give the store's keys (keys=…)")
    if entry.kind not in KINDS:
        raise StateFileError(
            f"{source}: entry {number} is of the unknown kind {entry.kind!r}; it is of a newer version"
        )
    try:
        return json.loads(entry.body)
    except (ValueError, RecursionError) as error:
        raise StateFileError(f"{source}: entry {number} ({entry.kind}) is damaged ({error})") from error


def author_of(user: str) -> str:
    """The platform's id in the name of a user (``slack:T1:U1``)."""
    return unquote(user.rpartition(":")[2])


def told_of(entry: Entry, body: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of a turn besides its fields."""
    told: dict[str, Any] = {"author": author_of(entry.author)} if entry.author else {}
    told.update(body.get("told", {}))
    return told


def messages_in(entry: Entry) -> frozenset[str]:
    """The ids of the messages that a turn's entry says it answered, or that a failure's says it did not."""
    if entry.kind == "failed":
        failure = json.loads(entry.body)
        return frozenset([failure.get("event", ""), *failure.get("events", ())]) - {""}
    if entry.kind != TURN:
        return frozenset()
    told = json.loads(entry.body).get("told", {})
    # One that was answered once more says so: what asked for that is no message.
    return frozenset(told.get("again") or [told.get("event", ""), *told.get("events", ())]) - {""}


def feedback_of(entry: Entry, body: Mapping[str, Any]) -> Feedback:
    """What the entry of a score or of a signal says."""
    return Feedback(
        score=from_json(body.get("score"), "score"),
        by=body.get("by", ""),
        text=body.get("text", ""),
        source=body.get("source", ""),
        at=datetime.fromtimestamp(entry.at, UTC),
        signal=body.get("signal"),
    )
