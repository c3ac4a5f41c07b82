"""What a store is: it keeps the journals of conversations and never looks into them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a conversation's journal. A store keeps it as it is and never looks into it.

    Args:
        kind: What changed: ``"call"``, ``"undo"``, ``"reset"``.
        body: How, as JSON text.
        event_id: The platform's id of the message that brought it about; empty when there was none.
        at: When, in seconds since 1970, UTC.
    """

    kind: str
    body: str
    event_id: str
    at: float


@dataclass(frozen=True, slots=True)
class ConversationInfo:
    """A conversation as a listing shows it.

    Args:
        key: Its key.
        entries: The length of its journal.
        created_at: When its first entry was written, in seconds since 1970, UTC.
        updated_at: When its last entry was written, likewise.
    """

    key: str
    entries: int
    created_at: float
    updated_at: float


class Store(Protocol):
    """Keeps journals. Everything that was appended stands, in order, whatever happens to the process.

    Verbs may be called from many tasks at once; a cancelled caller leaves nothing half done. Each raises
    ``StoreError``, in one line that says how to mend it, when the store cannot do its work.
    """

    async def open(self) -> None:
        """Make ready. Called once before everything else."""
        ...

    async def read(self, key: str) -> Sequence[Entry]:
        """The journal of a conversation, oldest entry first; empty when there is none."""
        ...

    async def append(self, key: str, entry: Entry, expected: int) -> None:
        """Add an entry, durably: once this returns, ``read`` has it, also after a crash.

        Raises:
            StaleJournalError: The journal does not have ``expected`` entries: somebody else wrote meanwhile, and
                nothing was written. Also when an entry with the same ``event_id`` stands in it already.
        """
        ...

    async def has_event(self, key: str, event_id: str) -> bool:
        """True when an entry of the conversation was brought about by this event."""
        ...

    async def copy(self, key: str, new_key: str) -> None:
        """Give ``new_key``, which has no journal yet, the journal of ``key``, without its event ids.

        Raises:
            StaleJournalError: ``new_key`` has a journal.
        """
        ...

    async def list(self) -> Sequence[ConversationInfo]:
        """Every conversation, the one with the newest entry first."""
        ...

    async def aclose(self) -> None:
        """Finish what was begun and let go of everything. May be called twice."""
        ...
