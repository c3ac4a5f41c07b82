"""An event on its way through the inbox, with what is known of it besides."""

from __future__ import annotations

import json
from dataclasses import dataclass

from dspy_session.conversation.key import ConversationKey
from dspy_session.errors import SessionError
from dspy_session.stores import Arrival
from dspy_session_chat.action import Event, event_from_json
from dspy_session_chat.written import read_object


@dataclass(frozen=True, slots=True)
class Waiting:
    """An event that waits to be handled.

    Args:
        platform: The name of the platform that it came from, among the bot's.
        event: The event, with the key of the conversation that it belongs to.
        place: Where it was brought about: the platform's own idea of the conversation.
        turn: The id of the turn that it is about, where that was found when it came; empty where it was not.
    """

    platform: str
    event: Event
    place: ConversationKey
    turn: str = ""

    @property
    def scope(self) -> str:
        """Within what the platform's message ids are unique."""
        return scope_of(self.platform, self.place)

    def to_json(self) -> str:
        """As JSON text, read back by ``from_json``."""
        written = {"platform": self.platform, "message": self.event.to_json(), "place": str(self.place)}
        return json.dumps(written | ({"turn": self.turn} if self.turn else {}))

    @classmethod
    def from_json(cls, text: str) -> Waiting:
        """The event that ``to_json`` wrote.

        Raises:
            SessionError: It is none.
        """
        try:
            written = read_object(text, "a waiting event")
            event = event_from_json(written["message"])
            place = ConversationKey.parse(written["place"]) if "place" in written else event.key
            return cls(str(written["platform"]), event, place, str(written.get("turn", "")))
        except (ValueError, KeyError, TypeError) as error:
            raise SessionError(f"a waiting event is damaged: {error!r:.200}") from error

    def arrival(self, now: float) -> Arrival:
        """What the inbox keeps of it; ``now`` is in seconds since 1970, UTC."""
        event = self.event
        return Arrival(
            str(event.key), event.event_id, self.to_json(), event.sent_at.timestamp(), now, author=event.user
        )


def scope_of(platform: str, place: ConversationKey) -> str:
    """Within what the ids of messages in a place are unique."""
    return str(ConversationKey(platform, place.workspace, "posts"))
