"""What the bot says: an answer with all that belongs to it, or words of its own."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dspy_session.errors import SessionError
from dspy_session_chat.written import known_fields, values_of

LONGEST_ANSWER = 1_000
"""Characters that are taken of what somebody writes in a window without which a press does not count."""

Counts = Literal["at once", "when sent"]
"""When the press of a button that asks something counts: at once, and with the answer it comes once more; or once the
answer is sent off, with words or without any. Who closes the window then has pressed nothing."""


@dataclass(frozen=True, slots=True)
class Button:
    """A button under a message. Whoever presses it brings about a ``Press`` of the same ``action`` and ``about``.

    Args:
        action: What it does, for the bot: ``"stop"``, ``"retry"``, ``"good"``, ``"bad"``, ``"approve"``, …
        label: What stands on it.
        about: What it is about: the id of a turn or of a message.
        style: How it looks, where platforms know: ``"plain"``, ``"good"`` or ``"danger"``.
        asks: The question that is asked when it is pressed, answered by ``Press.text``; empty for none.
        counts: When such a press counts. Where the question cannot be asked it counts at once in any case.
    """

    action: str
    label: str
    about: str = ""
    style: str = "plain"
    asks: str = ""
    counts: Counts = "at once"

    @property
    def waits(self) -> bool:
        """Whether a press counts only once the answer to the question is sent off."""
        return self.counts == "when sent" and bool(self.asks.strip())


@dataclass(frozen=True, slots=True)
class Link:
    """A source beneath an answer.

    Args:
        url: Where it leads; empty for a source that is only named.
        title: What it is called; the URL if empty.
    """

    url: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class ReplyFile:
    """A file that is posted with an answer.

    Args:
        name: Its name, with the ending.
        media_type: Its MIME type.
        data: What is in it.
    """

    name: str
    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """What is posted.

    Args:
        text: The words, Markdown; a platform splits them to its own limits.
        turn_id: Id of the turn that the answer belongs to; empty for words of the bot's own (an error, a help text).
        links: Sources, to be shown beneath.
        files: Files and images.
        table: Further output fields by name, to be shown as a small table beneath.
        reasoning: What the agent thought; to be hidden behind a spoiler or a button where the platform has one, else
            left out.
        buttons: For platforms that have buttons.
        private: For the one who asked alone, where the platform can.
    """

    text: str
    turn_id: str = ""
    links: tuple[Link, ...] = ()
    files: tuple[ReplyFile, ...] = ()
    table: tuple[tuple[str, str], ...] = ()
    reasoning: str = ""
    buttons: tuple[Button, ...] = ()
    private: bool = False

    @property
    def markdown(self) -> str:
        """The words with the sources and the table beneath, for a platform that has no form of its own for them."""
        blocks = [self.text]
        if self.table:
            rows = [f"| {_cell(name)} | {_cell(value)} |" for name, value in self.table]
            blocks.append("\n".join(["| | |", "|---|---|", *rows]))
        if self.links:
            blocks.append("\n".join(_link(number, link) for number, link in enumerate(self.links, 1)))
        return "\n\n".join(block for block in blocks if block)

    def to_json(self) -> dict[str, Any]:
        """The reply as JSON values, less what is empty; read back equal by ``from_json``."""
        files = [{**values_of(file), "data": base64.b64encode(file.data).decode()} for file in self.files]
        links, buttons = [values_of(link) for link in self.links], [values_of(button) for button in self.buttons]
        written = {**values_of(self), "files": files, "links": links, "buttons": buttons}
        return {name: value for name, value in written.items() if value or name == "text"}

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Reply:
        """The reply that ``to_json`` wrote; what a newer version wrote besides is left out.

        Raises:
            SessionError: It is none.
        """
        try:
            return cls(
                text=written["text"],
                turn_id=written.get("turn_id", ""),
                links=tuple(Link(**known_fields(Link, link)) for link in written.get("links", ())),
                files=tuple(
                    ReplyFile(file["name"], file["media_type"], base64.b64decode(file["data"]))
                    for file in written.get("files", ())
                ),
                table=tuple((name, value) for name, value in written.get("table", ())),
                reasoning=written.get("reasoning", ""),
                buttons=tuple(Button(**known_fields(Button, button)) for button in written.get("buttons", ())),
                private=bool(written.get("private", False)),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SessionError(f"an answer that waits to be posted is damaged: {error!r}") from error


def sayable(returned: object) -> Reply | str | None:
    """What a command returned, seen that it can be posted.

    Raises:
        TypeError: It cannot.
    """
    if returned is None or isinstance(returned, str):
        return returned
    if not isinstance(returned, Reply):
        raise TypeError(f"it returned {returned!r:.200}, which is neither a text, a Reply nor None")
    try:
        written = Reply.from_json(json.loads(json.dumps(returned.to_json())))
    except (SessionError, TypeError, ValueError, AttributeError) as error:
        raise TypeError(f"it returned {returned!r:.200}, which cannot be written down") from error
    if not isinstance(written.text, str):
        raise TypeError(f"it returned {returned!r:.200}, whose text is none")
    return returned


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _link(number: int, link: Link) -> str:
    title = (link.title or link.url).replace("[", "(").replace("]", ")")
    return f"{number}. [{title}](<{link.url}>)" if link.url else f"{number}. {title}"
