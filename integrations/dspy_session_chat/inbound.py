"""One message on its way in, the same shape whatever the platform."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args
from urllib.parse import quote

from dspy_session.conversation.key import ConversationKey
from dspy_session.errors import SessionError
from dspy_session_chat.written import known_fields, values_of

Addressed = Literal["direct", "mention", "thread", "ambient"]
"""How a message reaches the bot: in a DM, by a mention, in a thread that the bot is in, or not addressed to it."""


@dataclass(frozen=True, slots=True)
class Author:
    """Who wrote a message.

    Args:
        id: The platform's user id.
        name: The name that people see.
        is_bot: True for other bots and integrations, which are answered only where they are allowed by name.
        workspace: Where ``id`` is unique, by the platform's id of the workspace; empty when it is everywhere.
        roles: The platform's ids of the roles that they have there.
    """

    id: str
    name: str
    is_bot: bool = False
    workspace: str = ""
    roles: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Author:
        """Who ``asdict`` wrote; what a newer version wrote besides is left out.

        Raises:
            SessionError: It is no author.
        """
        fields = known_fields(cls, written)
        roles = fields.get("roles", ())
        if not isinstance(roles, (list, tuple)) or not all(isinstance(role, str) for role in roles):
            raise SessionError("what was written of author is damaged: roles must be a list of texts")
        return cls(**{**fields, "roles": tuple(roles)})


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that came with a message, not yet fetched.

    Args:
        name: The file's name as the sender gave it.
        media_type: MIME type as the platform tells it; empty when it does not.
        size: Bytes as the platform tells them; 0 when it does not.
        url: Where the platform serves the file.
        source: Where it was sent, in the platform's own words, read by that platform alone; empty where ``url`` says
            it all.
    """

    name: str
    media_type: str = ""
    size: int = 0
    url: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Inbound:
    """A message for the bot: what ``translate`` makes of a platform's event.

    Args:
        key: The conversation that it belongs to.
        event_id: The platform's id of the message; the same message delivered twice has the same id.
        author: Who wrote it.
        text: What was written, without the mention that addressed the bot.
        addressed: How it reaches the bot.
        sent_at: When the platform says that it was sent, UTC.
        channel_name: The channel's name as people see it; empty in a DM.
        attachments: Files that came with it.
        reply_to: Where the answer goes, in the platform's own words (JSON values only), read by that platform alone.
        mentions_others: True when it mentions somebody, and not the bot.
        replies_to: The platform's id of the message that it replies to; empty where it replies to none, and None where
            people cannot reply to a message but in a thread.
        viewing: The name of the channel that its author looks at while they talk to the bot beside it; empty where the
            platform does not tell.
        place: Where it was written, once ``key`` is a conversation that is more than that or another one; else None.
    """

    key: ConversationKey
    event_id: str
    author: Author
    text: str
    addressed: Addressed
    sent_at: datetime
    channel_name: str = ""
    attachments: tuple[Attachment, ...] = ()
    reply_to: dict[str, Any] = field(default_factory=dict)
    mentions_others: bool = False
    replies_to: str | None = None
    viewing: str = ""
    place: ConversationKey | None = None

    @property
    def where(self) -> ConversationKey:
        """Where it was written, whatever conversation it belongs to."""
        return self.place or self.key

    @property
    def user(self) -> str:
        """Who wrote it, told from every other user of every platform: ``"slack:T1:U1"``."""
        return user_of(self.key, self.author)

    def to_json(self) -> dict[str, Any]:
        """The message as JSON values, read back equal by ``from_json``."""
        nested = {"author": values_of(self.author), "attachments": [values_of(file) for file in self.attachments]}
        keys = {"key": str(self.key), "place": None if self.place is None else str(self.place)}
        return {**values_of(self), **nested, **keys, "sent_at": self.sent_at.isoformat()}

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Inbound:
        """The message that ``to_json`` wrote; what a newer version wrote besides is left out.

        Raises:
            SessionError: It is none.
        """
        fields = known_fields(cls, written)
        try:
            fields["key"] = ConversationKey.parse(fields["key"])
            fields["place"] = ConversationKey.parse(fields["place"]) if fields.get("place") else None
            fields["sent_at"] = datetime.fromisoformat(fields["sent_at"])
            fields["author"] = Author.from_json(fields["author"])
            files = (known_fields(Attachment, attachment) for attachment in fields.get("attachments", ()))
            fields["attachments"] = tuple(Attachment(**file) for file in files)
            if fields["addressed"] not in get_args(Addressed):
                raise ValueError(fields["addressed"])  # noqa: TRY301  # said like all else that is damaged
            return cls(**fields)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SessionError(f"a waiting message is damaged: {error!r:.200}") from error


def user_of(key: ConversationKey, author: Author) -> str:
    """An author in a conversation, told from every other user of every platform: ``"slack:T1:U1"``."""
    return ":".join(
        quote(part, safe="", errors="surrogatepass") for part in (key.platform, author.workspace, author.id)
    )
