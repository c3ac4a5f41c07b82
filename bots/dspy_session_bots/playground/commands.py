"""The commands that the page offers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dspy_session_chat.needs import Named


@dataclass(frozen=True, slots=True)
class Usual:
    """A command that every bot has.

    Args:
        name: Its name, without the slash.
        description: What it does, in a few words.
        takes: What may be written after it.
        admin: Whether only admins may give it.
        private: Whether what it says is for the one who gave it alone.
        aliases: Other names for it.
    """

    name: str
    description: str
    takes: str = ""
    admin: bool = False
    private: bool = False
    aliases: Sequence[str] = ()


USUAL: Sequence[Named] = (
    Usual("help", "What the bot can do"),
    Usual("reset", "Start this conversation again"),
    Usual("undo", "Take the last turn back"),
    Usual("retry", "Answer the last message once more"),
    Usual("stop", "Stop the answer that is being written"),
    Usual("fork", "Go on from here in a thread of its own"),
    Usual("history", "What the agent remembers of this conversation"),
    Usual("forget-me", "Delete everything that you said, everywhere"),
)
"""What is offered until the bot says what it has."""
