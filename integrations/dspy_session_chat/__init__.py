"""What every chat platform shares: messages in, answers out, and the bot between them."""

from dspy_session_chat.access import Access
from dspy_session_chat.action import Action, Command, Deletion, Edit, Event, Press, Reaction
from dspy_session_chat.bot import Bot
from dspy_session_chat.inbound import Attachment, Author, Inbound
from dspy_session_chat.limits import Limits
from dspy_session_chat.platform import (
    CanEdit,
    CanFetch,
    CanOpenThread,
    CanReadBack,
    CanStream,
    CanType,
    NeedsConversations,
    Opened,
    Platform,
    Post,
    Posted,
    Receive,
    ReplyStream,
    Said,
)
from dspy_session_chat.reply import Button, Link, Reply, ReplyFile

__all__ = [
    "Access",
    "Action",
    "Attachment",
    "Author",
    "Bot",
    "Button",
    "CanEdit",
    "CanFetch",
    "CanOpenThread",
    "CanReadBack",
    "CanStream",
    "CanType",
    "Command",
    "Deletion",
    "Edit",
    "Event",
    "Inbound",
    "Limits",
    "Link",
    "NeedsConversations",
    "Opened",
    "Platform",
    "Post",
    "Posted",
    "Press",
    "Reaction",
    "Receive",
    "Reply",
    "ReplyFile",
    "ReplyStream",
    "Said",
]
