"""Where conversations are kept."""

from __future__ import annotations

from collections.abc import Sequence

from dspy_session.errors import ConfigurationError
from dspy_session.stores.incoming import Arrival, Inbox, PostedTurn, Posting, Posts, Work
from dspy_session.stores.ledger import Adjustment, Charge, Ledger, Refusal
from dspy_session.stores.memory import MemoryStore
from dspy_session.stores.outgoing import Batch, Delivery, LaneInfo, Outbox, Settlement
from dspy_session.stores.protocol import (
    SHARED,
    Commit,
    ConversationInfo,
    Entry,
    Forget,
    Journal,
    Lease,
    Leases,
    Settled,
    Store,
)
from dspy_session.stores.sealed import BotStore, SealedStore
from dspy_session.stores.sealing import SealingKey
from dspy_session.stores.sqlite import SqliteStore
from dspy_session.stores.vault import Kept, Vault

__all__ = [
    "SHARED",
    "Adjustment",
    "Arrival",
    "Batch",
    "Charge",
    "Commit",
    "ConversationInfo",
    "Delivery",
    "Entry",
    "Forget",
    "Inbox",
    "Journal",
    "Kept",
    "LaneInfo",
    "Lease",
    "Leases",
    "Ledger",
    "MemoryStore",
    "Outbox",
    "PostedTurn",
    "Posting",
    "Posts",
    "Refusal",
    "SealedStore",
    "SealingKey",
    "Settled",
    "Settlement",
    "SqliteStore",
    "Store",
    "Vault",
    "Work",
    "store_from_url",
]


def store_from_url(url: str, keys: str | SealingKey | Sequence[str | SealingKey] | None = None) -> Store:
    """The store that a URL names, not opened yet.

    Args:
        url: ``memory://``, ``sqlite:///`` and a path (``sqlite:///chat.db`` lies in the working directory,
            ``sqlite:////var/lib/chat.db`` where it says), or ``postgresql://user:password@host:5432/database``.
        keys: Keys to encrypt with what people say, as ``SealedStore`` takes them; None to keep it readable.

    Raises:
        ConfigurationError: The URL names no store that is known here, a key does not fit, or an extra is missing.
    """
    store = _plain(url)
    return store if keys is None else SealedStore(store, keys)


def _plain(url: str) -> BotStore:
    if url == "memory://":
        return MemoryStore()
    if url.startswith("sqlite:///") and len(url) > len("sqlite:///"):
        return SqliteStore(url.removeprefix("sqlite:///"))
    scheme = url.split(":", 1)[0]
    if scheme in ("postgresql", "postgres"):
        from dspy_session.stores.postgres import PostgresStore

        return PostgresStore(url)
    meant = _meant(url)
    said = f"{meant} Otherwise" if meant else f"{scheme}: is no store;"
    raise ConfigurationError(
        f"{said} use memory://, sqlite:///FILE (three slashes, then the file) or "
        "postgresql://USER:PASSWORD@HOST/DATABASE"
    )


def _meant(url: str) -> str:
    """Which file may be meant; empty where none can be."""
    _, is_sqlite, path = url.rpartition("sqlite:") if url.startswith("sqlite:") else ("", "", url)
    path = path.lstrip("/") if is_sqlite else path
    if not path or "@" in path or (not is_sqlite and "://" in path):
        return ""
    return f"{url} is no store's URL: did you mean sqlite:///{path}?"
