"""A commit that is tried again while the store is busy: a turn that was paid for is not given up at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from dspy_session.errors import StaleJournalError, StoreBusyError
from dspy_session.stores import Commit, Store

logger = logging.getLogger(__name__)

WRITE_TRIES = 6
"""How often a change is written while the store is busy."""
FIRST_PAUSE = 0.1
"""Seconds after the first of them; each next pause is twice as long."""


async def commit_patiently(store: Store, commit: Commit, is_ours: Callable[[], Awaitable[bool]]) -> None:
    """Write a change.

    Args:
        store: Where.
        commit: The change.
        is_ours: Whether nobody has taken the conversation over; renews the right to it.

    Raises:
        StaleJournalError: Somebody else wrote meanwhile; nothing was written.
        StoreError: The store cannot write.
    """
    pause, renewed = FIRST_PAUSE, False
    for left in reversed(range(WRITE_TRIES)):
        try:
            await store.commit(commit)
            return
        except StaleJournalError:
            # A lease that ran out while the store could not be reached: if nobody took it, nothing was lost by it.
            if renewed or commit.lease is None or not left or not await is_ours():
                raise
            renewed = True
        except StoreBusyError as error:
            if not left:
                raise
            logger.warning("A turn waits to be written, next try in %.1f s: %s", pause, error)
            await asyncio.sleep(pause)
            pause *= 2
