"""What a Discord message is to the bot: something to answer, or one of the reasons not to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum

import discord

from dspy_session_chat.inbound import Addressed, Attachment, Author, Inbound
from dspy_session_discord.destination import Destination
from dspy_session_discord.key import conversation_key
from dspy_session_discord.markup import shorten

THREAD_NAME_LIMIT = 100
"""Characters in a thread's name; Discord refuses more with error 50035."""

_SPOKEN = (discord.MessageType.default, discord.MessageType.reply)
"""Every other type is Discord speaking: somebody joined, a message was pinned, a thread was made."""

_REFERENCE = re.compile(r"(?P<gap>[^\S\n]*)<(?P<kind>@!?|@&|#)(?P<id>\d+)>")


class Ignored(Enum):
    """Why a message is not for the bot."""

    OWN = "the bot wrote it itself"
    BOT = "another bot or a webhook wrote it"
    SYSTEM = "Discord wrote it"
    AMBIENT = "it is not addressed to the bot"
    OTHERS = "it is addressed to somebody else"
    EMPTY = "there is nothing to read in it"


def translate(message: discord.Message, me: int) -> Inbound | Ignored:
    """What ``message`` is to the bot whose user id is ``me``.

    The bot is addressed in every DM, by a mention of itself or of its role, and in a thread that it is in unless the
    message mentions somebody else there.
    """
    if message.author.id == me:
        return Ignored.OWN
    if message.author.bot or message.webhook_id is not None:
        return Ignored.BOT
    if message.type not in _SPOKEN:
        return Ignored.SYSTEM
    addressed = _addressed(message, me)
    if isinstance(addressed, Ignored):
        return addressed
    text = _text(message, me)
    attachments = tuple(
        Attachment(file.filename, file.content_type or "", file.size, file.url) for file in message.attachments
    )
    # A bare mention calls the bot; anything else without words or files is a sticker, a poll, or a message whose
    # content Discord keeps from bots without the Message Content intent.
    if not text and not attachments and addressed != "mention":
        return Ignored.EMPTY
    return Inbound(
        key=conversation_key(message),
        event_id=str(message.id),
        author=Author(str(message.author.id), message.author.display_name),
        text=text,
        addressed=addressed,
        sent_at=message.created_at,
        channel_name=_channel_name(message),
        attachments=attachments,
        reply_to=_destination(message, text).as_dict(),
    )


def is_in(thread: discord.Thread, me: int) -> bool:
    """Whether the bot opened ``thread`` or has joined it."""
    return thread.owner_id == me or thread.me is not None


def _addressed(message: discord.Message, me: int) -> Addressed | Ignored:
    if message.guild is None and isinstance(message.channel, discord.DMChannel):
        return "direct"
    role = None if message.guild is None else message.guild.self_role
    if any(user.id == me for user in message.mentions) or (role is not None and role in message.role_mentions):
        return "mention"
    if not isinstance(message.channel, discord.Thread) or not is_in(message.channel, me):
        return Ignored.AMBIENT
    if message.mentions or message.role_mentions or message.mention_everyone:
        return Ignored.OTHERS
    return "thread"


def _text(message: discord.Message, me: int) -> str:
    """The content without the mention that addressed the bot, other references by the names that people see."""
    ours = {str(me)}
    if message.guild is not None and message.guild.self_role is not None:
        ours.add(str(message.guild.self_role.id))
    names = {str(user.id): user.display_name for user in message.mentions}
    names |= {str(role.id): role.name for role in message.role_mentions}
    names |= {str(channel.id): channel.name for channel in message.channel_mentions}
    return _spoken(message.content, ours, names)


def _spoken(content: str, ours: set[str], names: Mapping[str, str]) -> str:
    """``content`` as one would say it.

    >>> _spoken("<@1>, ask <@2> in <#3>", {"1"}, {"2": "Ada", "3": "general"})
    'ask @Ada in #general'
    """

    def said(reference: re.Match[str]) -> str:
        if reference["id"] in ours and reference["kind"] != "#":
            return ""
        name = names.get(reference["id"])
        return reference.group() if name is None else f"{reference['gap']}{reference['kind'][0]}{name}"

    opening = _REFERENCE.match(content.lstrip())
    text = _REFERENCE.sub(said, content)
    if opening is not None and not said(opening):
        text = text.lstrip(" ,:")
    return text.strip()


def _channel_name(message: discord.Message) -> str:
    channel = message.channel
    if isinstance(channel, discord.Thread):
        return channel.name if channel.parent is None else channel.parent.name
    return channel.name if isinstance(channel, discord.abc.GuildChannel) else ""


def _destination(message: discord.Message, text: str) -> Destination:
    channel = message.channel
    if isinstance(channel, discord.TextChannel):
        title = shorten(discord.utils.remove_markdown(text), THREAD_NAME_LIMIT)
        return Destination(channel.id, message.id, title or shorten(message.author.display_name, THREAD_NAME_LIMIT))
    quoted = None if isinstance(channel, discord.Thread | discord.DMChannel) else message.id
    return Destination(channel.id, quoted)
