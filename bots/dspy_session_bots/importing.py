"""What ``export`` wrote, taken into a store: entry by entry, and as often as anybody likes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby, islice

from dspy_session.stores import Commit, Entry, Inbox, Settled, Store, Vault
from dspy_session_bots.exported import Line

BATCH = 500
"""Entries that are written in one commit; so many are in memory at once, however long a conversation is."""
AT_ONCE = 16
"""Commits that a store is handed at once: SQLite writes those that wait together."""
_FORKED = "forked"


@dataclass(slots=True)
class Taken:
    """What came of it.

    Args:
        conversations: How many conversations are in the store now that were not, or not whole.
        entries: How many entries were written.
        there: How many conversations were there already.
        others: The conversations that were left as they are, for the store has others under their keys; with the
            number of the first entry that differs.
    """

    conversations: int = 0
    entries: int = 0
    there: int = 0
    others: dict[str, int] = field(default_factory=dict)


async def take_in(store: Store, inbox: Inbox, lines: Iterable[Line]) -> Taken:
    """Take conversations in, each behind what the store has of it already.

    Until the last entry of a conversation is written nothing of it is seen. Stopped at any moment, it may be begun
    anew. The messages that were answered are known from then on, and are not answered again.

    Args:
        store: Where to.
        inbox: The same.
        lines: The lines of an export, as ``read_lines`` gives them.

    Raises:
        ConfigurationError: A line is damaged; what stands before it is in.
        StoreError: The store cannot do its work.
    """
    taken = Taken()
    for key, those in groupby(lines, lambda line: line.key):
        await _take_one(store, inbox, key, those, taken)
    return taken


async def take_kept(old: Vault, new: Vault) -> int:
    """Take along what a store keeps for good besides conversations; what the other one has by then stays.

    Args:
        old: Where it is.
        new: Where to.

    Returns:
        How many names that were.
    """
    taken = 0
    for name in await old.names():
        kept = await old.get(name)
        if kept is not None and kept.until is None and await new.get(name) is None:
            await new.put(kept)
            taken += 1
    return taken


async def _take_one(store: Store, inbox: Inbox, key: str, lines: Iterator[Line], taken: Taken) -> None:
    journal = await store.read(key, 1)
    seen = _Seen()
    lines = map(seen.see, lines)
    differs = await _first_that_differs(store, key, lines)
    if differs is not None:
        taken.others[key] = differs
        return
    length = journal.length
    while batch := list(islice(lines, BATCH)):
        marks = seen.marks if batch[-1].number + 1 == batch[-1].entries else journal.marks
        entries = [line.entry for line in batch]
        await store.commit(Commit(key=key, expected=length, entries=entries, marks=marks))
        length += len(batch)
    taken.entries += length - journal.length
    if length > journal.length:
        taken.conversations += 1
    else:
        taken.there += 1
    await _know(store, inbox, key, length, seen.messages)


@dataclass(slots=True)
class _Seen:
    """What the lines of a conversation say of it as a whole."""

    marks: dict[str, int] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def see(self, line: Line) -> Line:
        self.marks.update(dict.fromkeys(line.marks, line.number))
        if line.kind == _FORKED:  # what stands before was answered in another conversation
            self.messages.clear()
        self.messages += line.messages
        return line


async def _first_that_differs(store: Store, key: str, lines: Iterator[Line]) -> int | None:
    """The number of the first entry that the store has otherwise than the export; it is read as far as both go."""
    async for entry in store.entries(key):
        line = next(lines, None)
        if line is None:  # the conversation went on in the store
            return None
        if not _same(entry, line):
            return line.number
    return None


def _same(entry: Entry, line: Line) -> bool:
    written = line.entry
    if entry == written:
        return True
    try:
        return replace(entry, body=written.body) == written and json.loads(entry.body) == line.body
    except (ValueError, RecursionError):
        return False


async def _know(store: Store, inbox: Inbox, key: str, length: int, messages: list[str]) -> None:
    """Let messages be known as answered."""

    async def know(event_id: str) -> None:
        if not await inbox.knows(key, event_id):
            await store.commit(Commit(key=key, expected=length, settled=Settled(event_id)))

    left = iter(dict.fromkeys(messages))
    while some := list(islice(left, AT_ONCE)):
        await asyncio.gather(*map(know, some))
