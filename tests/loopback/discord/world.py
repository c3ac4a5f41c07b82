"""What there is in the fake Discord: people, servers, channels, threads and messages."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from typing import Any

MENTION = re.compile(r"<@!?(\d+)>")
ROLE_MENTION = re.compile(r"<@&(\d+)>")
EVERYONE = re.compile(r"@(?:everyone|here)\b")

REPLY, COMMAND_ANSWER, MENU_ANSWER = 19, 20, 23
SPOKEN = (0, REPLY, COMMAND_ANSWER, MENU_ANSWER)
"""Types of messages that somebody wrote: a message, a reply, and what answers a command."""

THREAD_STARTER = 21
"""Type of the message that a thread begins with; it only points to the one in the channel."""

SUPPRESS_EMBEDS = 1 << 2
"""Message flag: links are not unfurled."""
EPHEMERAL = 1 << 6
"""Message flag: one person alone sees it."""
LOADING = 1 << 7
"""Message flag: it waits to become an answer."""


class Permission(IntFlag):
    """What a role or an overwrite may grant; the names in ``Channel.denied`` are these in lower case."""

    ADMINISTRATOR = 1 << 3
    ADD_REACTIONS = 1 << 6
    VIEW_CHANNEL = 1 << 10
    SEND_MESSAGES = 1 << 11
    MANAGE_MESSAGES = 1 << 13
    EMBED_LINKS = 1 << 14
    ATTACH_FILES = 1 << 15
    READ_MESSAGE_HISTORY = 1 << 16
    MANAGE_THREADS = 1 << 34
    CREATE_PUBLIC_THREADS = 1 << 35
    SEND_MESSAGES_IN_THREADS = 1 << 38


class ChannelType(IntEnum):
    TEXT = 0
    DM = 1
    VOICE = 2
    GROUP_DM = 3
    NEWS = 5
    NEWS_THREAD = 10
    PUBLIC_THREAD = 11
    PRIVATE_THREAD = 12
    STAGE = 13
    FORUM = 15
    MEDIA = 16


FORUMS = {ChannelType.FORUM, ChannelType.MEDIA}
THREADS = {ChannelType.NEWS_THREAD, ChannelType.PUBLIC_THREAD, ChannelType.PRIVATE_THREAD}


@dataclass(eq=False)
class User:
    id: int
    name: str
    bot: bool = False
    accepts_dms: bool = True
    roles: list[Role] = field(default_factory=list)

    @property
    def mention(self) -> str:
        return f"<@{self.id}>"


@dataclass(eq=False)
class Role:
    id: int
    name: str
    managed_by: User | None = None

    @property
    def mention(self) -> str:
        return f"<@&{self.id}>"


@dataclass(eq=False)
class Guild:
    id: int
    name: str
    owner: User
    bot_role: Role
    has_bot: bool = True
    roles: list[Role] = field(default_factory=list)
    channels: list[Channel] = field(default_factory=list)

    @property
    def threads(self) -> list[Channel]:
        return [channel for channel in self.channels if channel.type in THREADS]


@dataclass(eq=False)
class Channel:
    """A channel, a thread or a DM.

    ``denied`` names the permissions that the bot lacks here, in Discord's own spelling (``"send_messages"``). ``tags``
    are those that a forum has, or those of a post in one.
    """

    id: int
    type: ChannelType
    name: str = ""
    guild: Guild | None = None
    recipient: User | None = None
    parent: Channel | None = None
    owner: User | None = None
    members: set[int] = field(default_factory=set)
    messages: dict[int, Message] = field(default_factory=dict)
    denied: set[str] = field(default_factory=set)
    archived: bool = False
    locked: bool = False
    tags: dict[int, str] = field(default_factory=dict)
    needs_tag: bool = False

    @property
    def mention(self) -> str:
        return f"<#{self.id}>"

    @property
    def denied_bits(self) -> int:
        """``denied`` as an overwrite says it."""
        return sum(Permission[name.upper()] for name in self.denied)

    @property
    def visible(self) -> list[Message]:
        """The messages that people see here, oldest first; what each says is in ``content``, ``buttons``, ``files``,
        ``author``."""
        there = sorted(self.messages.values(), key=lambda one: one.id)
        return [message for message in there if message.type in SPOKEN and not message.loading]

    @property
    def is_thread(self) -> bool:
        return self.type in THREADS

    def denies(self, permission: str) -> bool:
        """Whether the bot lacks ``permission``; a thread takes its parent's."""
        place = self.parent if self.parent is not None else self
        return permission in place.denied


@dataclass(eq=False)
class Message:
    id: int
    channel: Channel
    author: User
    content: str
    type: int = 0
    flags: int = 0
    nonce: str | None = None
    reply_to: Message | None = None
    pings_replied: bool = True
    webhook_id: int | None = None
    private_to: int | None = None
    allowed_mentions: dict[str, Any] | None = None
    attachments: list[dict[str, Any]] = field(default_factory=list)
    reactions: dict[str, set[int]] = field(default_factory=dict)
    thread: Channel | None = None
    edited: int | None = None
    embeds: list[dict[str, Any]] = field(default_factory=list)
    components: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def loading(self) -> bool:
        """Whether it is no message yet, but says that the bot is thinking."""
        return bool(self.flags & LOADING)

    @property
    def buttons(self) -> dict[str, dict[str, Any]]:
        """The buttons under it by their labels."""
        return {button["label"]: button for row in self.components for button in row["components"]}

    @property
    def mentioned(self) -> list[int]:
        """Ids of the users that it mentions, the author of the message it replies to among them."""
        found = [int(user) for user in MENTION.findall(self.content)]
        if self.reply_to is not None and self.pings_replied:
            found.append(self.reply_to.author.id)
        return list(dict.fromkeys(found))

    @property
    def pings(self) -> list[str]:
        """Whom Discord would notify for this message, by the rules of ``allowed_mentions``."""
        allowed = self.allowed_mentions
        parse = {"users", "roles", "everyone"} if allowed is None else set(allowed.get("parse", ()))
        chosen = {} if allowed is None else allowed
        pinged = _pinged(MENTION.findall(self.content), "users" in parse, chosen.get("users", ()))
        pinged += _pinged(ROLE_MENTION.findall(self.content), "roles" in parse, chosen.get("roles", ()))
        if "everyone" in parse:
            pinged += EVERYONE.findall(self.content)
        if self.reply_to is not None and (allowed is None or allowed.get("replied_user", False)):
            pinged.append(str(self.reply_to.author.id))
        return pinged


def _pinged(mentioned: list[str], all_of_them: bool, chosen: Collection[str | int]) -> list[str]:
    return [one for one in mentioned if all_of_them or one in {str(each) for each in chosen}]
