"""The chains of a journal."""

from __future__ import annotations

from dspy_session.errors import StoreError
from dspy_session.stores.protocol import Journal


def see_that_all_is_there(key: str, journal: Journal, depth: int | None) -> None:
    """A chain that was torn is never taken for a short one.

    Args:
        key: The conversation.
        journal: What was read of it.
        depth: How deep that should be.

    Raises:
        StoreError: An entry is missing.
    """
    for mark in journal.marks.values():
        number: int | None = mark
        left = journal.length if depth is None else depth
        while number is not None and left > 0:
            if number not in journal.entries:
                raise StoreError(
                    f"the conversation {key!r} is damaged, entry {number} is missing: restore a backup, or forget it"
                )
            number, left = journal.entries[number].previous, left - 1
