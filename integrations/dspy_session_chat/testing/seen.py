"""What people see of a bot in a test."""

from __future__ import annotations

from dataclasses import dataclass, field

from dspy_session_chat.action import Event
from dspy_session_chat.reply import Button, Link, Reply, ReplyFile


@dataclass(slots=True)
class Message:
    """A message of the bot's, as it stands.

    Args:
        id: The platform's id of it.
        event: What it answers.
        text: What it says.
        buttons: What is under it.
        reply: All that belongs to the answer; None while it is still being written.
        interim: Whether it is on the way to the answer, and not a part of it.
        views: What it said before, oldest first: an answer that is shown while it grows says one thing after another.
    """

    id: str
    event: Event
    text: str
    buttons: tuple[Button, ...] = ()
    reply: Reply | None = None
    interim: bool = False
    views: list[str] = field(default_factory=list)

    @property
    def thread(self) -> str:
        """The thread that it stands in."""
        return self.event.key.thread or ""

    @property
    def turn_id(self) -> str:
        """Id of the turn that it is the answer of; empty for words of the bot's own."""
        return "" if self.reply is None else self.reply.turn_id

    @property
    def links(self) -> tuple[Link, ...]:
        """The sources beneath it."""
        return () if self.reply is None else self.reply.links

    @property
    def files(self) -> tuple[ReplyFile, ...]:
        """The files that came with it."""
        return () if self.reply is None else self.reply.files

    @property
    def table(self) -> tuple[tuple[str, str], ...]:
        """Further fields of the answer."""
        return () if self.reply is None else self.reply.table

    @property
    def reasoning(self) -> str:
        """What the agent thought, as far as it is shown."""
        return "" if self.reply is None else self.reply.reasoning

    @property
    def private(self) -> bool:
        """Whether only the one who asked sees it."""
        return self.reply is not None and self.reply.private

    def button(self, label: str) -> Button:
        """The button that says ``label``, or does it (``"retry"``).

        Raises:
            LookupError: There is none.
        """
        for button in self.buttons:
            if label in (button.label, button.action):
                return button
        there = ", ".join(repr(button.label) for button in self.buttons) or "none"
        raise LookupError(f"there is no button {label!r} under {self.text!r}; there are: {there}")
