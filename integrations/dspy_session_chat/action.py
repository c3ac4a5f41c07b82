"""What people do besides writing a message: a command, a button, a reaction, a change of what they wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from dspy_session.conversation.key import ConversationKey
from dspy_session.errors import SessionError
from dspy_session_chat.inbound import Author, Inbound, user_of
from dspy_session_chat.written import known_fields


@dataclass(frozen=True, slots=True)
class Command:
    """A command was given.

    Args:
        name: Its name, without the slash: ``"reset"``.
        text: What was written after it.
    """

    name: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Press:
    """A button was pressed.

    Args:
        button: Which one: a ``Button.action``.
        about: What it is about, a ``Button.about``: the id of a turn or of a message.
        text: What was written with it, where the platform asks (the reason of a thumb down).
        message_id: The platform's id of the message that it is under, as ``Posted`` has it; empty if unknown.
    """

    button: str
    about: str = ""
    text: str = ""
    message_id: str = ""


@dataclass(frozen=True, slots=True)
class Reaction:
    """An emoji was put under a message, or taken away.

    Args:
        emoji: The emoji itself (``"👍"``) where it is one of Unicode's, without skin tone; else its name.
        message_id: The platform's id of the message, as ``Posted`` has it.
        added: False when it was taken away.
    """

    emoji: str
    message_id: str
    added: bool = True


@dataclass(frozen=True, slots=True)
class Edit:
    """Somebody changed a message of theirs.

    Args:
        message_id: The message's ``Inbound.event_id``.
        text: What it says now.
    """

    message_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Deletion:
    """Somebody deleted a message of theirs.

    Args:
        message_id: The message's ``Inbound.event_id``.
    """

    message_id: str


Deed: TypeAlias = Command | Press | Reaction | Edit | Deletion

_DEEDS: Mapping[str, type[Deed]] = {
    "command": Command,
    "press": Press,
    "reaction": Reaction,
    "edit": Edit,
    "deletion": Deletion,
}


@dataclass(frozen=True, slots=True)
class Action:
    """Something that somebody did in a conversation.

    Args:
        key: The conversation; of a reaction at least its platform, workspace and channel, for the bot finds the thread
            by the message.
        event_id: The platform's id of it; the same one delivered twice has the same id. Where the platform has none,
            one is made of all that tells it from others.
        author: Who did it.
        sent_at: When, as the platform says, UTC.
        deed: What was done.
        channel_name: The channel's name as people see it; empty in a DM.
        reply_to: Where an answer goes, in the platform's own words (JSON values only), read by that platform alone.
        direct: True in a DM.
        place: Where it was done, once ``key`` is a conversation that is more than that or another one; else None.
    """

    key: ConversationKey
    event_id: str
    author: Author
    sent_at: datetime
    deed: Deed
    channel_name: str = ""
    reply_to: dict[str, Any] = field(default_factory=dict)
    direct: bool = False
    place: ConversationKey | None = None

    @property
    def where(self) -> ConversationKey:
        """Where it was done, whatever conversation it belongs to."""
        return self.place or self.key

    @property
    def user(self) -> str:
        """Who did it, told from every other user of every platform: ``"slack:T1:U1"``."""
        return user_of(self.key, self.author)

    def to_json(self) -> dict[str, Any]:
        """The action as JSON values, read back equal by ``event_from_json``."""
        kind = next(kind for kind, deed in _DEEDS.items() if type(self.deed) is deed)
        keys = {"key": str(self.key), "place": None if self.place is None else str(self.place)}
        return {**asdict(self), **keys, "sent_at": self.sent_at.isoformat(), "kind": kind}


Event: TypeAlias = Inbound | Action
"""Everything that a platform hands over."""


def event_from_json(written: Mapping[str, Any]) -> Event:
    """The event that ``to_json`` wrote; what a newer version wrote besides is left out.

    Raises:
        SessionError: It is none.
    """
    kind = written.get("kind")
    if kind is None:
        return Inbound.from_json(written)
    deed = _DEEDS.get(kind) if isinstance(kind, str) else None
    if deed is None:
        raise SessionError(f"a waiting event is of the unknown kind {kind!r:.80}: it is of a newer version")
    fields = known_fields(Action, written)
    try:
        return Action(
            key=ConversationKey.parse(fields["key"]),
            event_id=fields["event_id"],
            author=Author.from_json(fields["author"]),
            sent_at=datetime.fromisoformat(fields["sent_at"]),
            deed=deed(**known_fields(deed, fields["deed"])),
            channel_name=fields.get("channel_name", ""),
            reply_to=fields.get("reply_to", {}),
            direct=bool(fields.get("direct", False)),
            place=ConversationKey.parse(fields["place"]) if fields.get("place") else None,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SessionError(f"a waiting event is damaged: {error!r:.200}") from error
