"""What a Discord message is to the bot: something that was said, or one of the reasons to pass over it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum

import discord

from dspy_session_chat.inbound import Addressed, Attachment, Inbound
from dspy_session_discord.author import author_of
from dspy_session_discord.destination import Destination
from dspy_session_discord.key import Channel, conversation_key
from dspy_session_discord.markup import shorten

THREAD_NAME_LIMIT = 100
"""Characters in a thread's name; Discord refuses more with error 50035."""

_TITLE_IS_IN = 4 * THREAD_NAME_LIMIT
"""Characters of a message that are looked at for a name: enough, also where marks of Markdown are many."""

SPOKEN = (discord.MessageType.default, discord.MessageType.reply)
"""Every other type is Discord speaking: somebody joined, a message was pinned, a thread was made."""

_REFERENCE = re.compile(r"(?P<gap>[^\S\n]*)<(?P<kind>@!?|@&|#)(?P<id>\d+)>")


class Ignored(Enum):
    """Why a message is nothing to the bot, addressed to it or not."""

    OWN = "the bot wrote it itself"
    SYSTEM = "Discord wrote it"
    EMPTY = "there is nothing to read in it"


def translate(message: discord.Message, me: int) -> Inbound | Ignored:
    """What ``message`` is to the bot whose user id is ``me``.

    The bot is addressed in every DM, by a mention of itself or of its role, and in a thread that it is in. Every other
    message is ambient: in a big server that is nearly all of them, so this is cheap.
    """
    if message.author.id == me:
        return Ignored.OWN
    if message.type not in SPOKEN:
        return Ignored.SYSTEM
    addressed = _addressed(message, me)
    text = said(message, me)
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
        author=author_of(message.author, is_bot=message.webhook_id is not None),
        text=text,
        addressed=addressed,
        sent_at=message.created_at,
        channel_name=channel_name(message.channel),
        attachments=attachments,
        reply_to=_destination(message, text).as_dict(),
        mentions_others=addressed in ("thread", "ambient") and _mentions_others(message),
        replies_to=_replies_to(message),
    )


def is_in(thread: discord.Thread, me: int) -> bool:
    """Whether the bot opened ``thread`` or has joined it."""
    return thread.owner_id == me or thread.me is not None


def _addressed(message: discord.Message, me: int) -> Addressed:
    if message.guild is None and isinstance(message.channel, discord.DMChannel):
        return "direct"
    if any(user.id == me for user in message.mentions) or _own_role(message) is not None:
        return "mention"
    return "thread" if isinstance(message.channel, discord.Thread) and is_in(message.channel, me) else "ambient"


def _own_role(message: discord.Message) -> discord.Role | None:
    """The bot's own role, if it is mentioned."""
    if message.guild is None or not message.role_mentions:  # finding one's own means looking through all roles
        return None
    role = message.guild.self_role
    return role if role in message.role_mentions else None


def _mentions_others(message: discord.Message) -> bool:
    """Whether it speaks to somebody; who replies to a message of their own mentions nobody by that."""
    if message.role_mentions or message.mention_everyone:
        return True
    return any(user.id != message.author.id for user in message.mentions)


def _replies_to(message: discord.Message) -> str:
    """The id of the message that it replies to; a forwarded message refers to one, and is no reply to it."""
    reference = message.reference
    if message.type is not discord.MessageType.reply or reference is None or reference.message_id is None:
        return ""
    return str(reference.message_id)


def said(message: discord.Message, me: int) -> str:
    """What ``message`` says, without the mention that addressed the bot; references by the names that people see."""
    if "<" not in message.content:
        return message.content.strip()
    ours = {str(me)}
    if (role := _own_role(message)) is not None:
        ours.add(str(role.id))
    names = {str(user.id): user.display_name for user in message.mentions}
    names |= {str(role.id): role.name for role in message.role_mentions}
    names |= {str(channel.id): channel.name for channel in message.channel_mentions}
    return _spoken(message.content, ours, names)


def _spoken(content: str, ours: set[str], names: Mapping[str, str]) -> str:
    """``content`` as one would say it.

    >>> _spoken("<@1>, ask <@2> in <#3>", {"1"}, {"2": "Ada", "3": "general"})
    'ask @Ada in #general'
    """

    def spoken(reference: re.Match[str]) -> str:
        if reference["id"] in ours and reference["kind"] != "#":
            return ""
        name = names.get(reference["id"])
        return reference.group() if name is None else f"{reference['gap']}{reference['kind'][0]}{name}"

    opening = _REFERENCE.match(content.lstrip())
    text = _REFERENCE.sub(spoken, content)
    if opening is not None and not spoken(opening):
        text = text.lstrip(" ,:")
    return text.strip()


def channel_name(channel: Channel) -> str:
    """The name of the channel, of a thread's the name of the channel that it hangs on; empty in a DM."""
    if isinstance(channel, discord.Thread):
        return channel.name if channel.parent is None else channel.parent.name
    return channel.name if isinstance(channel, discord.abc.GuildChannel) else ""


def _destination(message: discord.Message, text: str) -> Destination:
    channel = message.channel
    if isinstance(channel, discord.TextChannel):
        title = shorten(discord.utils.remove_markdown(text[:_TITLE_IS_IN]), THREAD_NAME_LIMIT)
        return Destination(channel.id, message.id, title or shorten(message.author.display_name, THREAD_NAME_LIMIT))
    quoted = None if isinstance(channel, discord.Thread | discord.DMChannel) else message.id
    return Destination(channel.id, quoted)
