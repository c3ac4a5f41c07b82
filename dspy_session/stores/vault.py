"""What a bot has to keep that is part of no conversation: secrets and notes, each under a name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Kept:
    """Something that is kept.

    Args:
        name: What it is found by; readable also in an encrypted store.
        value: The thing itself; never readable in an encrypted store.
        until: When it is of no use any more, in seconds since 1970, UTC; None for never.
    """

    name: str
    value: str
    until: float | None = None


@runtime_checkable
class Vault(Protocol):
    """Keeps things by name. What was put in is there, and what was taken out is gone, whatever happens to the process.

    Nothing goes by itself: whoever puts things in for a time clears out what is over.
    """

    async def put(self, kept: Kept) -> None:
        """Keep something, in the place of what had its name before."""
        ...

    async def get(self, name: str) -> Kept | None:
        """What has a name; None for nothing."""
        ...

    async def pull(self, name: str) -> Kept | None:
        """What has a name, and nobody finds it again: of several who pull at once, one gets it."""
        ...

    async def names(self, prefix: str = "") -> Sequence[str]:
        """The names that begin with ``prefix``, in order."""
        ...

    async def clear(self, before: float) -> int:
        """Delete what was to be kept until a time before this one, in seconds since 1970, UTC; how much that was."""
        ...
