"""What people and channels are called, where a platform's messages tell it by ids that it has to look up."""

from __future__ import annotations

from typing import Protocol, TypeVar, runtime_checkable

from dspy_session_chat.action import Action
from dspy_session_chat.inbound import Inbound
from dspy_session_chat.platform import Platform

EventT = TypeVar("EventT", Inbound, Action)


@runtime_checkable
class CanName(Protocol):
    """May learn what somebody is called only after it has handed over what they wrote.

    A message is handed over soon, with other words where a name is not known yet; the agent reads it later.
    """

    async def named(self, event: EventT) -> EventT:
        """The same, with the names that are known by now; never raises for those that cannot be had."""
        ...


async def named(platform: Platform, event: EventT) -> EventT:
    """What came from a platform, with the names that are known by now."""
    return await platform.named(event) if isinstance(platform, CanName) else event
