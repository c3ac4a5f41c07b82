"""What a platform is told before it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from dspy_session.conversation import Conversations
from dspy_session.stores import Vault
from dspy_session_chat.deciding import IsOpen
from dspy_session_chat.needs import Named
from dspy_session_chat.rules.access import Access
from dspy_session_chat.rules.manners import Manners
from dspy_session_slack.assistant import Assistant


@dataclass(frozen=True, slots=True)
class Told:
    """What the bot, and whoever set the platform up, told it.

    Args:
        commands: The commands that it has.
        manners: How it behaves.
        access: Who may ask.
        assistant: What people find in the view for agents.
        conversations: What the bot keeps; None until it tells.
        vault: Where things are kept that are part of no conversation; None where nobody keeps them.
        is_open: Whether a press may come to something.
    """

    commands: Sequence[Named] = ()
    manners: Manners = field(default_factory=Manners)
    access: Access = field(default_factory=Access)
    assistant: Assistant | None = None
    conversations: Conversations | None = None
    vault: Vault | None = None
    is_open: IsOpen = lambda _: True
