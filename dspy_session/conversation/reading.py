"""A conversation read from its store: a long one is put together in a thread, so that others go on meanwhile."""

from __future__ import annotations

import asyncio

from dspy_session.conversation.restoring import Restored, restore
from dspy_session.stores import Store

IN_PLACE = 200
"""Entries that are put together at once; each takes about 50 µs (2 cores)."""


async def restored(store: Store, key: str, depth: int | None = None, window: int | None = None) -> Restored:
    """A conversation as it stands in its store.

    Args:
        store: Where it is kept.
        key: Which one.
        depth: How many entries of each chain are read, the newest; None for all.
        window: How many of the newest turns are wanted; None for all that are read.

    Raises:
        ShallowError: It was not read deep enough to tell what those turns saw.
        StateFileError: An entry is damaged; the message says which.
    """
    journal, source = await store.read(key, depth), f"conversation {key!r}"
    if len(journal.entries) <= IN_PLACE:
        return restore(journal, source, window)
    return await asyncio.to_thread(restore, journal, source, window)
