"""Where conversations are kept."""

from __future__ import annotations

from dspy_session.errors import ConfigurationError
from dspy_session.stores.memory import MemoryStore
from dspy_session.stores.protocol import (
    Arrival,
    Batch,
    Commit,
    ConversationInfo,
    Delivery,
    Entry,
    Forget,
    Inbox,
    Journal,
    LaneInfo,
    Lease,
    Leases,
    Outbox,
    Settled,
    Settlement,
    Store,
    Work,
)
from dspy_session.stores.sqlite import SqliteStore

__all__ = [
    "Arrival",
    "Batch",
    "Commit",
    "ConversationInfo",
    "Delivery",
    "Entry",
    "Forget",
    "Inbox",
    "Journal",
    "LaneInfo",
    "Lease",
    "Leases",
    "MemoryStore",
    "Outbox",
    "Settled",
    "Settlement",
    "SqliteStore",
    "Store",
    "Work",
    "store_from_url",
]


def store_from_url(url: str) -> Store:
    """The store that a URL names, not opened yet.

    Args:
        url: ``memory://``, or ``sqlite:///`` and a path: ``sqlite:///chat.db`` lies in the working directory,
            ``sqlite:////var/lib/chat.db`` where it says.

    Raises:
        ConfigurationError: The URL names no store that is known here.
    """
    if url == "memory://":
        return MemoryStore()
    if url.startswith("sqlite:///") and len(url) > len("sqlite:///"):
        return SqliteStore(url.removeprefix("sqlite:///"))
    scheme = url.split(":", 1)[0]
    raise ConfigurationError(f"{scheme}: is no store; use memory:// or sqlite:///FILE (three slashes, then the file)")
