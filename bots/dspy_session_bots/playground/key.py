"""A thread of the page and its conversation."""

from __future__ import annotations

import re
from typing import Any

from dspy_session.conversation import ConversationKey
from dspy_session.errors import InvalidKeyError
from dspy_session_chat import Event

PLATFORM = "playground"

_CHANNEL = "page"
_THREAD_OF = "thread"
_THREAD = re.compile(r"[A-Za-z0-9_-]{1,64}")


def is_thread(text: str) -> bool:
    """Whether ``text`` can name a thread: up to 64 letters, digits, ``_`` and ``-``."""
    return _THREAD.fullmatch(text) is not None


def conversation_key(thread: str) -> ConversationKey:
    """The conversation of a thread."""
    return ConversationKey(PLATFORM, "", _CHANNEL, thread)


def place_of(event: Event) -> str:
    """The thread that something was written or done in, whatever the bot takes for the conversation."""
    return str(event.reply_to.get(_THREAD_OF) or event.key.thread)


def written_in(thread: str) -> dict[str, Any]:
    """Where an answer goes, for ``Inbound.reply_to``."""
    return {_THREAD_OF: thread}


def thread_of(key: str) -> str | None:
    """The thread that a conversation belongs to; None for a conversation of another platform."""
    try:
        parsed = ConversationKey.parse(key)
    except InvalidKeyError:
        return None
    ours = parsed.platform == PLATFORM and parsed.thread is not None and is_thread(parsed.thread)
    return parsed.thread if ours else None
