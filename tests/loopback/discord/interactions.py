"""Commands that are given, presses of buttons, windows that are sent off: what the client is told, and may answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from tests.loopback.discord import payloads
from tests.loopback.discord.refusal import ALREADY_ACKNOWLEDGED, UNKNOWN_INTERACTION, ApiError, invalid
from tests.loopback.discord.world import EPHEMERAL, Channel, ChannelType, Message, User

Payload = dict[str, Any]

MAX_TITLE = 45
MAX_VALUE = 4000
LABEL, TEXT_INPUT = 18, 4

SECONDS_TO_ACKNOWLEDGE = 3.0
TOKEN_SECONDS = 900.0


class Kind(IntEnum):
    COMMAND = 2
    COMPONENT = 3
    MODAL_SUBMIT = 5


class Answer(IntEnum):
    """What a client may answer; ``CHOICES`` to somebody who is still writing a command, whom the fake does not have."""

    MESSAGE = 4
    DEFERRED_MESSAGE = 5
    DEFERRED_UPDATE = 6
    UPDATE = 7
    CHOICES = 8
    MODAL = 9


@dataclass(eq=False)
class Interaction:
    """Something that ``user`` did in ``channel``, or to ``message``. ``answer`` is what the client said to it, once it
    has; ``original`` the message that this made, ``further`` those after it. ``at`` is by the fake's clock.
    """

    id: int
    token: str
    kind: Kind
    user: User
    channel: Channel
    data: Payload
    at: float
    message: Message | None = None
    answer: Payload | None = None
    original: Message | None = None
    further: list[Message] = field(default_factory=list)
    expired: bool = False

    @property
    def deferred(self) -> bool:
        return self.answer is not None and self.answer["type"] == Answer.DEFERRED_UPDATE

    @property
    def modal(self) -> Payload | None:
        """The window that was opened in answer to it."""
        return self.answer["data"] if self.answer is not None and self.answer["type"] == Answer.MODAL else None

    @property
    def private(self) -> bool:
        """Whether what answers it was said to be for one person alone."""
        return bool(((self.answer or {}).get("data") or {}).get("flags", 0) & EPHEMERAL)

    def submitted(self, text: str) -> Payload:
        """The data of the window that was opened, with ``text`` written into its box."""
        assert self.modal is not None, "no window was opened"
        (label,) = self.modal["components"]
        box = label["component"]
        assert text or not box.get("required", True), "Discord does not send a window off whose box has to be filled in"
        assert len(text) <= box.get("max_length", MAX_VALUE), "Discord lets nobody write more than that"
        box = {"type": TEXT_INPUT, "id": 2, "custom_id": box["custom_id"], "value": text}
        return {
            "custom_id": self.modal["custom_id"],
            "components": [{"type": LABEL, "id": 1, "component": box}],
            "resolved": {},
        }

    def is_over(self, now: float) -> bool:
        """Whether its token is void."""
        return now - self.at > TOKEN_SECONDS

    def take(self, answer: Payload, now: float) -> None:
        """Take the client's answer."""
        if self.answer is not None:
            raise ApiError(*ALREADY_ACKNOWLEDGED)
        if self.expired or now - self.at > SECONDS_TO_ACKNOWLEDGE:
            raise ApiError(*UNKNOWN_INTERACTION)
        kind = answer.get("type")
        if kind not in self._allowed():
            raise invalid("type", "BASE_TYPE_CHOICES", "Value of field is not allowed here.")
        if kind == Answer.DEFERRED_MESSAGE and (answer.get("data") or {}).get("flags", 0) & ~EPHEMERAL:
            raise invalid("flags", "BITFIELD_INVALID", "Only the ephemeral flag may be set.")
        if kind == Answer.MODAL:
            _check_modal(answer["data"])
        self.answer = answer

    def _allowed(self) -> set[int]:
        new, update = {Answer.MESSAGE, Answer.DEFERRED_MESSAGE}, {Answer.DEFERRED_UPDATE, Answer.UPDATE}
        if self.kind is Kind.COMMAND:
            return {*new, Answer.MODAL}
        if self.kind is Kind.COMPONENT:
            return {*new, *update, Answer.MODAL}
        return new if self.message is None else new | update

    def payload(self, message: Payload | None, *, bot: User) -> Payload:
        """What INTERACTION_CREATE tells; ``message`` as the client sees it."""
        channel = self.channel
        body: Payload = {
            "id": str(self.id),
            "application_id": str(bot.id),
            "type": int(self.kind),
            "data": self.data,
            "channel_id": str(channel.id),
            "channel": payloads.channel(channel, me=bot.id),
            "token": self.token,
            "version": 1,
            "locale": "en-US",
            "app_permissions": payloads.ALL_PERMISSIONS,
            "entitlements": [],
            "authorizing_integration_owners": {"0": "0"},
            "context": 1 if channel.type is ChannelType.DM else 2,
            "attachment_size_limit": 10 * 1024 * 1024,
        }
        if message is not None:
            body["message"] = message
        guild = channel.guild
        if guild is None:
            return {**body, "user": payloads.user(self.user)}
        member = payloads.member(self.user, with_user=True) | {"permissions": payloads.ALL_PERMISSIONS}
        return body | {
            "context": 0,
            "authorizing_integration_owners": {"0": str(guild.id)} if guild.has_bot else {"1": str(self.user.id)},
            "guild_id": str(guild.id),
            "guild": {"id": str(guild.id), "locale": "en-US", "features": []},
            "guild_locale": "en-US",
            "member": member,
        }


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
        if not 1 <= label["component"].get("max_length", MAX_VALUE) <= MAX_VALUE:
            raise invalid("max_length", "NUMBER_TYPE_MAX", f"int value should be less than or equal to {MAX_VALUE}.")
