"""Whether a store will do, before anybody says something that it ought to keep."""

from __future__ import annotations

import asyncio

from dspy_session.stores import SqliteStore, Store


def check_store(store: Store) -> None:
    """See that a store's file can be opened and read; the file is made if there is none.

    Other stores are left alone: theirs may be a place that must not be opened twice.

    Args:
        store: The store, which is not opened itself: that can be done only once, and by whoever uses it.

    Raises:
        StoreError: It will not do; the message says why.
    """
    if isinstance(store, SqliteStore):
        asyncio.run(_list(SqliteStore(store.path)))


async def _list(store: Store) -> None:
    await store.open()
    try:
        await store.list()
    finally:
        await store.aclose()
