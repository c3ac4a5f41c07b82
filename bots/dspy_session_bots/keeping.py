"""Whether a store will do, before anybody says something that it ought to keep; and looking into one that is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from difflib import get_close_matches
from typing import NoReturn

from dspy_session.errors import ConfigurationError, StoreError
from dspy_session.stores import Entry, Inbox, MemoryStore, Outbox, SqliteStore, Store, Vault, store_from_url
from dspy_session.stores.marking import MARK, is_plain, refuse_without_keys
from dspy_session.stores.sealing import is_sealed
from dspy_session_bots.config import read_settings


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


def shown(url: str) -> str:
    """A store's URL as it may be shown: without user, password and options."""
    scheme, _, rest = url.partition("://")
    if scheme in ("sqlite", "memory"):
        return url
    place, slash, path = rest.partition("?")[0].partition("/")
    return f"{scheme}://{place.rpartition('@')[2]}{slash}{path}"


@asynccontextmanager
async def beside(url: str) -> AsyncIterator[Store]:
    """A store that is there already, opened for a tool: a bot may be serving it meanwhile.

    Args:
        url: Which one. With keys in the environment or in .env it is read by them, unless it is not encrypted.

    Raises:
        ConfigurationError: The URL names none that a tool could look into.
        StoreError: There is none, or it cannot be opened.
    """
    store = store_from_url(url)
    keys = read_settings(None).keys()
    if isinstance(store, MemoryStore):
        raise ConfigurationError("memory:// ends with the process that has it: name a store that lasts")
    if isinstance(store, SqliteStore) and not store.path.is_file():
        raise StoreError(f"no such file: {store.path} (name the store with --store sqlite:///FILE)")
    if keys is not None:
        sealed = store_from_url(url, keys)
        async with _opened(store):
            plain = await is_plain(store)
        store = store_from_url(url) if plain else sealed
    async with _opened(store):
        yield store


@asynccontextmanager
async def _opened(store: Store) -> AsyncIterator[None]:
    await store.open(serving=False)
    try:
        yield
    finally:
        await store.aclose()


@asynccontextmanager
async def outbox_beside(url: str) -> AsyncIterator[tuple[Store, Outbox]]:
    """The same for a store that keeps deliveries: twice the same object.

    Raises:
        ConfigurationError: It keeps none.
        StoreError: As above.
    """
    async with beside(url) as store:
        if not isinstance(store, Outbox):
            raise ConfigurationError(f"{type(store).__name__} keeps no deliveries")
        yield store, store


@asynccontextmanager
async def alone(url: str) -> AsyncIterator[tuple[Store, Inbox]]:
    """A store to put conversations into, made if there is none, while no bot serves it from a file; twice the same one.

    Args:
        url: Which one; encrypted where the environment or .env has STORE_KEYS.

    Raises:
        ConfigurationError: The URL names none that lasts, or it is encrypted and there are no keys to it, or the other
            way round.
        StoreError: It cannot be opened.
    """
    store = store_from_url(url, read_settings(None).keys())
    if url == "memory://":
        raise ConfigurationError("memory:// ends with the process that has it: name a store that lasts")
    if not isinstance(store, Inbox):
        raise ConfigurationError(f"{type(store).__name__} keeps no messages")
    await store.open()
    try:
        await refuse_without_keys(store)
        yield store, store
    finally:
        await store.aclose()


async def vault_of(store: Store, url: str) -> Vault:
    """A store as the vault that it is.

    Args:
        store: The store, open.
        url: Which one it is, for messages.

    Raises:
        ConfigurationError: It is none, or it is encrypted and there are no keys to it.
    """
    if not isinstance(store, Vault):
        raise ConfigurationError(f"{type(store).__name__} keeps no tokens")
    if await store.get(MARK) is not None:
        raise ConfigurationError(
            f"{shown(url)} is encrypted, and so are its tokens: set STORE_KEYS to its keys, with one for the new "
            "store in front"
        )
    return store


def refuse_sealed(key: str, entry: Entry) -> None:
    """See that an entry can be read.

    Raises:
        StoreError: It is encrypted.
    """
    if is_sealed(entry.body):
        raise StoreError(
            f"the conversation {key!r} is encrypted: set STORE_KEYS to the store's keys in the environment or in .env"
        )


async def refuse_unknown(store: Store, key: str) -> NoReturn:
    """There is no such conversation: say so, and which one may be meant.

    Raises:
        StoreError: Always.
    """
    close = get_close_matches(key, [info.key for info in await store.list()], 1, 0.8)
    raise StoreError(f"there is no conversation {key!r}" + (f": did you mean {close[0]}?" if close else ""))
