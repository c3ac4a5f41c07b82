"""A message as people see it."""

from __future__ import annotations

from dataclasses import dataclass

from tests.loopback.slack.blocks import seen_buttons, seen_text
from tests.loopback.slack.workspace import Message


@dataclass(frozen=True)
class Shown:
    """What stands in a channel.

    Args:
        ts: The message's id in its channel.
        author: Id of the user who wrote it.
        text: What it says: its blocks where it has some, for they stand in the place of its text.
        buttons: What is on its buttons.
        files: The names of its files.
    """

    ts: str
    author: str
    text: str
    buttons: tuple[str, ...]
    files: tuple[str, ...]

    @classmethod
    def of(cls, message: Message) -> Shown:
        blocks = message.get("blocks") or []
        return cls(
            ts=message["ts"],
            author=message.get("user", ""),
            text=seen_text(blocks) if blocks else message.get("text", ""),
            buttons=tuple(button.label for button in seen_buttons(blocks)),
            files=tuple(file["name"] for file in message.get("files") or ()),
        )
