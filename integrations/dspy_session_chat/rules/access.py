"""Who may talk to the bot, where, and who may tell it what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from urllib.parse import quote, unquote

from dspy_session.conversation.key import ConversationKey
from dspy_session.errors import ConfigurationError
from dspy_session_chat.action import Event

Ids = Sequence[str | int]
"""Ids as the platform gives them (``"U1"``, Discord's as numbers too), or after a platform, or a platform and a
workspace: ``"slack:U1"``, ``"slack:T1:U1"``."""

_PLATFORM = re.compile("[a-z][a-z0-9_-]*")
_ID = re.compile(r"[^\s:<>#@&\ud800-\udfff]+")

DMS = "dms"
"""Stands for the workspace of what belongs to none."""
NOT_YOU = "Sorry, I may not talk with you. Ask whoever runs me to change that."
NOT_HERE = "Sorry, I may not talk here. Ask whoever runs me to change that, or try another channel."


@dataclass(frozen=True, slots=True)
class Access:
    """Who may talk to the bot. Where nobody is named everybody may.

    An id without a platform and a workspace is meant on all of them; where strangers can bring a workspace or a server
    of their own, write admins in full. A thread is allowed and denied as its channel, a DM by the id that it has as a
    channel.

    Args:
        allow_users: The only users who may talk, besides those of ``allow_roles`` and ``admins``.
        deny_users: Users who may not, whatever else is said.
        allow_roles: The only roles (Discord) whose members may, besides ``allow_users`` and ``admins``.
        deny_roles: Roles whose members may not, whatever else is said.
        allow_channels: The only channels where anybody may.
        deny_channels: Channels where nobody may.
        allow_workspaces: The only workspaces or servers where anybody may; ``"dms"`` for DMs that belong to none, as
            Discord's do.
        deny_workspaces: Workspaces or servers where nobody may, likewise.
        admins: Users who may give an admin's commands; nobody if empty.
        bots: Other bots that are answered; the others get no answer, not even why.

    Raises:
        ConfigurationError: An id has a form that no platform's has.
    """

    allow_users: Ids = ()
    deny_users: Ids = ()
    allow_roles: Ids = ()
    deny_roles: Ids = ()
    allow_channels: Ids = ()
    deny_channels: Ids = ()
    allow_workspaces: Ids = ()
    deny_workspaces: Ids = ()
    admins: Ids = ()
    bots: Ids = ()

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, _ids(field.name, getattr(self, field.name)))

    def denial(self, event: Event) -> str | None:
        """Why somebody may not talk to the bot, as one line for them; None when they may.

        The line is empty where there is to be no answer at all: an answer to a bot is answered by it.
        """
        if event.author.is_bot:
            return None if self._denial(event, is_named=self._is_user(event, self.bots)) is None else ""
        is_named = self._is_user(event, [*self.allow_users, *self.admins]) or self._has_role(event, self.allow_roles)
        return self._denial(event, is_named=is_named or not (self.allow_users or self.allow_roles))

    def is_admin(self, event: Event) -> bool:
        """True for who may give an admin's commands: one of ``admins`` who is not denied."""
        return self._is_user(event, self.admins) and not self._is_denied(event)

    def _denial(self, event: Event, *, is_named: bool) -> str | None:
        if self._is_denied(event):
            return NOT_YOU
        where = event.where
        for allowed, denied, of, platform_id in (
            (self.allow_workspaces, self.deny_workspaces, "", where.workspace or DMS),
            (self.allow_channels, self.deny_channels, where.workspace, where.channel),
        ):
            if _names(denied, where, of, platform_id) or (allowed and not _names(allowed, where, of, platform_id)):
                return NOT_HERE
        return None if is_named else NOT_YOU

    def _is_denied(self, event: Event) -> bool:
        return self._is_user(event, self.deny_users) or self._has_role(event, self.deny_roles)

    def _is_user(self, event: Event, ids: Ids) -> bool:
        # Where an id is unique everywhere somebody may also be written as of the workspace that they write in.
        workspace = event.author.workspace
        workspaces = [workspace] if workspace else ["", event.where.workspace]
        return any(_names(ids, event.key, each, event.author.id) for each in workspaces)

    def _has_role(self, event: Event, ids: Ids) -> bool:
        return any(_names(ids, event.where, event.where.workspace, role) for role in event.author.roles)


def _names(ids: Ids, key: ConversationKey, workspace: str, platform_id: str) -> bool:
    """Whether ids name a user, a role or a channel of a workspace."""
    if not ids:
        return False
    forms = [[platform_id], [key.platform, platform_id], [key.platform, workspace, platform_id]]
    return not {_joined(form) for form in forms}.isdisjoint(ids)


def _joined(parts: Iterable[str]) -> str:
    return ":".join(quote(part, safe="") for part in parts)


def _ids(name: str, given: object) -> tuple[str, ...]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ConfigurationError(f"{name} takes a list of ids; write {name}=[{given!r}]")
    return tuple(_id(name, each) for each in given)


def _id(name: str, given: object) -> str:
    text = str(given) if isinstance(given, str | int) and not isinstance(given, bool) else ""
    *before, last = text.split(":")
    workspace = before[1:]
    if (
        len(before) > 2
        or not _ID.fullmatch(last)
        or not all(_PLATFORM.fullmatch(platform) for platform in before[:1])
        or not all(part == "" or _ID.fullmatch(part) for part in workspace)
    ):
        raise ConfigurationError(
            f"{given!r} in {name} is no id: write it as the platform gives it (U0123ABC, 81384788765712384), or as "
            "platform:id or platform:workspace:id; names and mentions will not do"
        )
    return _joined(unquote(part) for part in (*before, last))
