"""A store that forgets everything when the process ends: for tests and for trying things out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dspy_session.errors import StaleJournalError
from dspy_session.stores.protocol import ConversationInfo, Entry


class MemoryStore:
    """Journals in memory."""

    def __init__(self) -> None:
        self._journals: dict[str, list[Entry]] = {}

    async def open(self) -> None:
        """Nothing to make ready."""

    async def read(self, key: str) -> Sequence[Entry]:
        """The journal of a conversation, oldest entry first."""
        return tuple(self._journals.get(key, ()))

    async def append(self, key: str, entry: Entry, expected: int) -> None:
        """Add an entry."""
        journal = self._journals.get(key, [])
        if len(journal) != expected or await self.has_event(key, entry.event_id):
            raise StaleJournalError
        self._journals.setdefault(key, journal).append(entry)

    async def has_event(self, key: str, event_id: str) -> bool:
        """True when an entry of the conversation was brought about by this event."""
        return event_id != "" and any(entry.event_id == event_id for entry in self._journals.get(key, ()))

    async def copy(self, key: str, new_key: str) -> None:
        """Give ``new_key`` the journal of ``key``."""
        if self._journals.get(new_key):
            raise StaleJournalError(f"the conversation {new_key!r} exists already")
        self._journals[new_key] = [replace(entry, event_id="") for entry in self._journals.get(key, ())]

    async def list(self) -> Sequence[ConversationInfo]:
        """Every conversation, the newest first."""
        infos = [
            ConversationInfo(key, len(journal), journal[0].at, journal[-1].at)
            for key, journal in self._journals.items()
            if journal
        ]
        return sorted(infos, key=lambda info: info.updated_at, reverse=True)

    async def aclose(self) -> None:
        """Nothing to let go of: the journals stay as long as the object."""
