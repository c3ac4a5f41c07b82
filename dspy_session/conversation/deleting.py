"""What there is of a message in a journal, and goes when it is deleted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Iterator, Mapping

from dspy_session.conversation.entries import MEMORY, SEED, TURN, messages_in
from dspy_session.conversation.reading import IN_PLACE
from dspy_session.stores import Entry, Store


async def brought_about(store: Store, key: str, message_id: str) -> tuple[list[int], Mapping[int, Entry]]:
    """The numbers of the entries that a message brought about, and that can go with it; and all entries.

    A turn that answered other messages too stays, unless it was taken back or has failed.
    """
    stands = frozenset((await store.read(key)).entries)
    entries: dict[int, Entry] = {}
    async for entry in store.entries(key):
        entries[len(entries)] = entry
    if len(entries) <= IN_PLACE:
        return _going(message_id, entries, stands), entries
    return await asyncio.to_thread(_going, message_id, entries, stands), entries


def _going(message_id: str, entries: Mapping[int, Entry], stands: Collection[int]) -> list[int]:
    turns = [
        number
        for number, entry in entries.items()
        if message_id in (messages := messages_in(entry)) and (len(messages) == 1 or number not in stands)
    ]
    return sorted({*turns, *(each for number in turns for each in inside(entries, number))})


def inside(entries: Mapping[int, Entry], number: int) -> Iterator[int]:
    """The numbers of what an agent's parts were asked, and said, on the way to a turn: it stands just before that.

    Args:
        entries: All entries of the conversation.
        number: The turn's own.
    """
    at = entries[number].at
    for before in reversed(range(number)):
        entry = entries[before]
        if entry.at != at or entry.kind not in (TURN, SEED, MEMORY, "cleared"):
            return
        if entry.kind == TURN:
            if "ledger" not in json.loads(entry.body):
                return
            yield before
