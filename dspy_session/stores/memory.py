"""A store that forgets everything when it is closed: for tests and for trying things out."""

from __future__ import annotations

from dspy_session.stores.sqlite import SqliteStore
from dspy_session.stores.sqlite.schema import MEMORY


class MemoryStore(SqliteStore):
    """The tables of a ``SqliteStore`` in memory."""

    def __init__(self) -> None:
        super().__init__(MEMORY)

    def __repr__(self) -> str:
        return "MemoryStore()"
