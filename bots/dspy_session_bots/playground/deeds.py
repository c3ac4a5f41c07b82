"""What people do on the page besides writing: as it comes in, and as it is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from dspy_session_bots.playground.refusal import RefusalError
from dspy_session_chat import Command, Deletion, Edit, Press, Reaction
from dspy_session_chat.action import Deed

LONGEST_TEXT = 20_000
"""Characters of one message, or of what is said with a deed."""

_KINDS: Mapping[str, type[Deed]] = {
    "command": Command,
    "press": Press,
    "reaction": Reaction,
    "edit": Edit,
    "deletion": Deletion,
}


def deed_in(body: Mapping[str, Any]) -> Deed:
    """The deed in a request's JSON object: ``{"kind": "press", "button": "good", "about": "…"}``.

    Raises:
        RefusalError: There is none.
    """
    name = body.get("kind")
    kind = _KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise RefusalError(400, f"say what was done: kind is one of {', '.join(_KINDS)}")
    given: dict[str, Any] = {}
    for field_name in (field.name for field in fields(kind) if field.name in body):
        value = body[field_name]
        if not isinstance(value, bool if field_name == "added" else str):
            raise RefusalError(400, f"{field_name} of a {name} is a {type(value).__name__}")
        if isinstance(value, str) and len(value) > LONGEST_TEXT:
            raise RefusalError(413, f"{field_name} has {len(value):,} characters; at most {LONGEST_TEXT:,} are read")
        given[field_name] = sound(value) if isinstance(value, str) else value
    try:
        return kind(**given)
    except TypeError:
        needed = ", ".join(field.name for field in fields(kind))
        raise RefusalError(400, f"a {name} needs more than that; it has {needed}") from None


def said_of(deed: Deed) -> str:
    """A deed in words, after the name of who did it; a command as it is written."""
    match deed:
        case Command(name, text):
            return f"/{name} {text}".rstrip()
        case Press(button, _, text):
            return f"pressed {button.capitalize()}" + (f": {text}" if text else "")
        case Reaction(emoji, _, added):
            return f"reacted with {emoji}" if added else f"took {emoji} away"
        case Edit():
            return "changed a message"
        case Deletion():
            return "deleted a message"


def sound(text: str) -> str:
    """``text`` with U+FFFD for each half of a surrogate pair: JSON can write one, UTF-8 cannot."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
