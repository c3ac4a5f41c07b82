"""What every chat platform shares: messages in, answers out, and the bot between them."""

from dspy_session_chat.action import Action, Command, Deletion, Edit, Event, Press, Reaction
from dspy_session_chat.approval import ask_first
from dspy_session_chat.bot import Bot
from dspy_session_chat.commands import Asked, BotCommand
from dspy_session_chat.deciding import NeedsQuestions
from dspy_session_chat.files.attachments import FileLimits
from dspy_session_chat.growing import CanEdit, CanStream, CanType, Growing, ReplyStream, ShowsWaiting
from dspy_session_chat.inbound import Attachment, Author, Inbound
from dspy_session_chat.naming import CanName
from dspy_session_chat.needs import NeedsAccess, NeedsCommands, NeedsConversations, NeedsManners
from dspy_session_chat.platform import (
    CanFetch,
    CanOpenThread,
    CanReadBack,
    Opened,
    Platform,
    Post,
    Posted,
    PostedInPartError,
    Receive,
    RefusedInPartError,
    Said,
)
from dspy_session_chat.reply import Button, Link, Reply, ReplyFile
from dspy_session_chat.rules.access import Access
from dspy_session_chat.rules.limits import Limits
from dspy_session_chat.rules.manners import Manners
from dspy_session_chat.spelling import SpellsCommands

__all__ = [
    "Access",
    "Action",
    "Asked",
    "Attachment",
    "Author",
    "Bot",
    "BotCommand",
    "Button",
    "CanEdit",
    "CanFetch",
    "CanName",
    "CanOpenThread",
    "CanReadBack",
    "CanStream",
    "CanType",
    "Command",
    "Deletion",
    "Edit",
    "Event",
    "FileLimits",
    "Growing",
    "Inbound",
    "Limits",
    "Link",
    "Manners",
    "NeedsAccess",
    "NeedsCommands",
    "NeedsConversations",
    "NeedsManners",
    "NeedsQuestions",
    "Opened",
    "Platform",
    "Post",
    "Posted",
    "PostedInPartError",
    "Press",
    "Reaction",
    "Receive",
    "RefusedInPartError",
    "Reply",
    "ReplyFile",
    "ReplyStream",
    "Said",
    "ShowsWaiting",
    "SpellsCommands",
    "ask_first",
]
