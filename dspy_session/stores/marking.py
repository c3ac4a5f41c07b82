"""A store that is encrypted says so, and is not opened as if it were none: what is mixed nobody reads any more."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from dspy_session.errors import ConfigurationError
from dspy_session.stores.protocol import Store
from dspy_session.stores.sealing import is_sealed
from dspy_session.stores.vault import Kept, Vault

MARK = "sealed"
"""What stands in the vault of an encrypted store, readable; it holds nothing."""


async def refuse_without_keys(store: Store) -> None:
    """See that a store may be written to as it is.

    Raises:
        ConfigurationError: It is encrypted, and ``store`` has no keys to it.
    """
    if isinstance(store, Vault) and await store.get(MARK) is not None:
        raise ConfigurationError(
            "the store is encrypted: give its keys (keys=…; for dspy-bots STORE_KEYS, in the environment or in .env)"
        )


async def mark(store: Store, vault: Vault) -> None:
    """Mark the store beneath an encrypted one, once; it is asked for its conversations only where it has no mark yet.

    Args:
        store: The store beneath, open.
        vault: The same.

    Raises:
        ConfigurationError: It has conversations that are not encrypted.
    """
    if await vault.get(MARK) is not None:
        return
    if await _holds_readable(store):
        raise ConfigurationError(
            "the store has conversations that are not encrypted, and keys are for a new one: leave the keys out, "
            "or take them into another store (dspy-bots conversations export, then import)"
        )
    await vault.put(Kept(MARK, ""))


async def is_plain(store: Store) -> bool:
    """Whether a store, as it is, holds conversations that are not encrypted."""
    return (not isinstance(store, Vault) or await store.get(MARK) is None) and await _holds_readable(store)


async def _holds_readable(store: Store) -> bool:
    """Whether the first entry that says something is readable; where one is, all are."""
    for info in await store.list():
        entries = store.entries(info.key)
        try:
            async for entry in entries:
                if entry.body != "{}":  # what was forgotten is readable in any store
                    return not is_sealed(entry.body)
        finally:
            if isinstance(entries, AsyncGenerator):
                await entries.aclose()
    return False
