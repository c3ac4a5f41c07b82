"""Which conversation: a printable key that names a place on a platform."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from dspy_session.errors import InvalidKeyError

_SAFE = "-._~@"
_PLAIN = re.compile(r"[A-Za-z0-9\-._~@]*")
"""A part that prints as it is, as nearly all do: keys are printed and read several times for each message."""
_PARTS = ("platform", "workspace", "channel", "thread", "user")
_MAY_BE_MISSING = ("thread", "user")
_USER = "="
"""Stands before a user, and is never left as it is in another part."""


@dataclass(frozen=True, slots=True)
class ConversationKey:
    """The address of one conversation: a thread, a channel or a DM on one platform, or what one user says there.

    ``str(key)`` is printable and parses back to an equal key; two different keys never print alike, because each
    part is percent-encoded before the parts are joined with ``:``.

    Args:
        platform: Lower-case name of the platform, for example ``"slack"``.
        workspace: The platform's id of the workspace or server; empty where the platform has none (a Discord DM).
        channel: The platform's id of the channel or DM; empty for all that ``user`` says, wherever that is.
        thread: The platform's id of the thread, or None for a conversation that is a whole channel or DM.
        user: The platform's id of the only user whose conversation it is; None for one that people share.

    >>> str(ConversationKey("slack", "T1", "C1", "1700000000.000100"))
    'slack:T1:C1:1700000000.000100'
    >>> str(ConversationKey("slack", "T1", "C1", user="U1")), str(ConversationKey("slack", "T1", "", user="U1"))
    ('slack:T1:C1:=U1', 'slack:T1::=U1')
    >>> ConversationKey.parse("slack:T1:C1").thread is None
    True
    """

    platform: str
    workspace: str
    channel: str
    thread: str | None = None
    user: str | None = None

    def __post_init__(self) -> None:
        for name in _PARTS:
            part = getattr(self, name)
            if part is None and name in _MAY_BE_MISSING:
                continue
            may_be_empty = name == "workspace" or (name == "channel" and self.user is not None and self.thread is None)
            if not isinstance(part, str) or not (part or may_be_empty):
                raise InvalidKeyError(f"a conversation key needs a non-empty text for {name!r}, got {part!r}")
            try:
                part.encode()
            except UnicodeEncodeError:
                raise InvalidKeyError(f"a conversation key cannot hold the lone surrogate in {name!r}") from None

    def __str__(self) -> str:
        parts = [self.platform, self.workspace, self.channel]
        if self.thread is not None:
            parts.append(self.thread)
        printed = ":".join(map(_quoted, parts))
        return printed if self.user is None else f"{printed}:{_USER}{_quoted(self.user)}"

    @classmethod
    def parse(cls, text: str) -> ConversationKey:
        """The key that prints as ``text``.

        Raises:
            InvalidKeyError: ``text`` is not what ``str(key)`` prints for any key.
        """
        parts = text.split(":")
        user = parts.pop()[len(_USER) :] if parts[-1].startswith(_USER) else None
        if len(parts) not in (3, 4):
            raise InvalidKeyError(
                f"{text!r} is no conversation key: expected platform:workspace:channel[:thread][:=user]"
            )
        try:
            platform, workspace, channel, *thread = (unquote(part, errors="strict") for part in parts)
            user = None if user is None else unquote(user, errors="strict")
            key = cls(platform, workspace, channel, thread[0] if thread else None, user)
        except UnicodeDecodeError:
            raise InvalidKeyError(f"{text!r} is no conversation key: its escapes are not UTF-8") from None
        if str(key) != text:
            raise InvalidKeyError(f"{text!r} is no conversation key: write it as {str(key)!r}")
        return key


def _quoted(part: str) -> str:
    return part if _PLAIN.fullmatch(part) else quote(part, safe=_SAFE)
