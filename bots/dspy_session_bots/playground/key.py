"""A thread of the page and its conversation."""

from __future__ import annotations

import re

from dspy_session.conversation import ConversationKey
from dspy_session.errors import InvalidKeyError

PLATFORM = "playground"

_CHANNEL = "page"
_THREAD = re.compile(r"[A-Za-z0-9_-]{1,64}")


def is_thread(text: str) -> bool:
    """Whether ``text`` can name a thread: up to 64 letters, digits, ``_`` and ``-``."""
    return _THREAD.fullmatch(text) is not None


def conversation_key(thread: str) -> ConversationKey:
    """The conversation of a thread."""
    return ConversationKey(PLATFORM, "", _CHANNEL, thread)


def thread_of(key: str) -> str | None:
    """The thread that a conversation belongs to; None for a conversation of another platform."""
    try:
        parsed = ConversationKey.parse(key)
    except InvalidKeyError:
        return None
    ours = parsed.platform == PLATFORM and parsed.thread is not None and is_thread(parsed.thread)
    return parsed.thread if ours else None
