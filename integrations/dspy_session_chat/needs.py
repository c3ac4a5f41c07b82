"""What a platform has to be told before it runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from dspy_session.conversation import Conversations
from dspy_session_chat.rules.access import Access
from dspy_session_chat.rules.manners import Manners


@runtime_checkable
class NeedsConversations(Protocol):
    """Shows what was said before, and so has to read conversations."""

    def use_conversations(self, conversations: Conversations) -> None:
        """Called once, before ``run``."""
        ...


class Named(Protocol):
    """A command, as a platform shows it."""

    @property
    def name(self) -> str:
        """Its name, without a slash."""
        ...

    @property
    def aliases(self) -> Sequence[str]:
        """Other names for it."""
        ...

    @property
    def description(self) -> str:
        """What it does, in one line."""
        ...

    @property
    def takes(self) -> str:
        """What may be written after it, for people: ``"[how many]"``; empty for nothing."""
        ...

    @property
    def admin(self) -> bool:
        """Whether only admins may give it."""
        ...

    @property
    def private(self) -> bool:
        """Whether what it says is for the one who gave it alone, as far as that is known beforehand."""
        ...


@runtime_checkable
class NeedsCommands(Protocol):
    """Shows people which commands there are."""

    def use_commands(self, commands: Sequence[Named]) -> None:
        """Called once, before ``run``."""
        ...


@runtime_checkable
class NeedsManners(Protocol):
    """Takes commands where it does not show which conversation is meant, and so has to know what is one."""

    def use_manners(self, manners: Manners) -> None:
        """Called once, before ``run``."""
        ...


@runtime_checkable
class NeedsAccess(Protocol):
    """Says something for people before the bot has looked at it, and so has to know who may talk to it."""

    def use_access(self, access: Access) -> None:
        """Called once, before ``run``."""
        ...
