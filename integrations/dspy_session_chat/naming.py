"""What people and channels are called, where a platform's messages tell it by ids that it has to look up."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from dspy_session_chat.inbound import Inbound


@runtime_checkable
class CanName(Protocol):
    """May learn what somebody is called only after it has handed over a message of theirs.

    A message is handed over soon, with other words where a name is not known yet; the agent reads it later.
    """

    async def named(self, message: Inbound) -> Inbound:
        """The message, with the names that are known by now; never raises for those that cannot be had."""
        ...
