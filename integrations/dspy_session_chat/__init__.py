"""What every chat platform shares: messages in, answers out, and the bot between them."""

from dspy_session_chat.bot import Bot
from dspy_session_chat.inbound import Attachment, Author, Inbound
from dspy_session_chat.platform import (
    CanStream,
    CanType,
    NeedsConversations,
    Platform,
    Post,
    Posted,
    Receive,
    ReplyStream,
)

__all__ = [
    "Attachment",
    "Author",
    "Bot",
    "CanStream",
    "CanType",
    "Inbound",
    "NeedsConversations",
    "Platform",
    "Post",
    "Posted",
    "Receive",
    "ReplyStream",
]
