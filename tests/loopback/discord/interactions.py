"""Presses of buttons and windows that are sent off: what the client is told, and what it may answer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from tests.loopback.discord import payloads
from tests.loopback.discord.refusal import ALREADY_ACKNOWLEDGED, ApiError, invalid
from tests.loopback.discord.world import ChannelType, Message, User

Payload = dict[str, Any]

MAX_TITLE = 45
LABEL, TEXT_INPUT = 18, 4


class Kind(IntEnum):
    COMPONENT = 3
    MODAL_SUBMIT = 5


class Answer(IntEnum):
    """What a client may answer to either kind; a window cannot be opened by a window."""

    MESSAGE = 4
    DEFERRED_MESSAGE = 5
    DEFERRED_UPDATE = 6
    UPDATE = 7
    MODAL = 9


@dataclass(eq=False)
class Interaction:
    """Something that ``user`` did to ``message``. ``answer`` is what the client said to it, once it has."""

    id: int
    token: str
    kind: Kind
    user: User
    message: Message
    data: Payload
    answer: Payload | None = None
    expired: bool = False

    @property
    def deferred(self) -> bool:
        return self.answer is not None and self.answer["type"] == Answer.DEFERRED_UPDATE

    @property
    def modal(self) -> Payload | None:
        """The window that was opened in answer to it."""
        return self.answer["data"] if self.answer is not None and self.answer["type"] == Answer.MODAL else None

    def submitted(self, text: str) -> Payload:
        """The data of the window that was opened, with ``text`` written into its box."""
        assert self.modal is not None, "no window was opened"
        (label,) = self.modal["components"]
        box = {"type": TEXT_INPUT, "id": 2, "custom_id": label["component"]["custom_id"], "value": text}
        return {
            "custom_id": self.modal["custom_id"],
            "components": [{"type": LABEL, "id": 1, "component": box}],
            "resolved": {},
        }

    def take(self, answer: Payload) -> Payload:
        """Take the client's answer; what Discord says to it."""
        if self.answer is not None:
            raise ApiError(*ALREADY_ACKNOWLEDGED)
        kind = answer.get("type")
        if kind not in set(Answer) or (kind == Answer.MODAL and self.kind is Kind.MODAL_SUBMIT):
            raise invalid("type", "BASE_TYPE_CHOICES", "Value of field is not allowed here.")
        if kind == Answer.MODAL:
            _check_modal(answer["data"])
        self.answer = answer
        return {"interaction": {"id": str(self.id), "type": int(self.kind), "response_message_loading": False}}

    def payload(self, message: Payload, *, bot: User) -> Payload:
        """What INTERACTION_CREATE tells; ``message`` as the client sees it."""
        channel = self.message.channel
        body: Payload = {
            "id": str(self.id),
            "application_id": str(bot.id),
            "type": int(self.kind),
            "data": self.data,
            "channel_id": str(channel.id),
            "channel": payloads.channel(channel, me=bot.id),
            "token": self.token,
            "version": 1,
            "message": message,
            "locale": "en-US",
            "app_permissions": payloads.ALL_PERMISSIONS,
            "entitlements": [],
            "authorizing_integration_owners": {},
            "context": 1 if channel.type is ChannelType.DM else 0,
            "attachment_size_limit": 10 * 1024 * 1024,
        }
        if channel.guild is None:
            return {**body, "user": payloads.user(self.user)}
        member = payloads.member(self.user, with_user=True) | {"permissions": payloads.ALL_PERMISSIONS}
        return {**body, "guild_id": str(channel.guild.id), "guild_locale": "en-US", "member": member}


def _check_modal(modal: Payload) -> None:
    if not 1 <= len(modal.get("title") or "") <= MAX_TITLE:
        raise invalid("title", "BASE_TYPE_BAD_LENGTH", f"Must be between 1 and {MAX_TITLE} in length.")
    if not 1 <= len(modal.get("custom_id") or "") <= 100:
        raise invalid("custom_id", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 100 in length.")
    labels = modal.get("components") or []
    if not 1 <= len(labels) <= 5:
        raise invalid("components", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 5 in length.")
    for label in labels:
        if not 1 <= len(label.get("label") or "") <= MAX_TITLE:
            raise invalid("label", "BASE_TYPE_BAD_LENGTH", f"Must be between 1 and {MAX_TITLE} in length.")
