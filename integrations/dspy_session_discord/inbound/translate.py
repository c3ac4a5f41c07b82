"""What a Discord message is to the bot: something that was said, or one of the reasons to pass over it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum

import discord

from dspy_session_chat.inbound import Addressed, Attachment, Inbound
from dspy_session_discord.destination import Destination
from dspy_session_discord.inbound.author import author_of
from dspy_session_discord.inbound.words import own_role, quoted, said
from dspy_session_discord.key import Channel, conversation_key
from dspy_session_discord.outbound.title import name_after, title_of

COMMAND = "/"
"""What a message begins with that is a command: it is left as it is."""

SPOKEN = (discord.MessageType.default, discord.MessageType.reply)
"""Every other type is Discord speaking: somebody joined, a message was pinned, a thread was made."""


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
    about = _replied(message, me) if addressed == "mention" and not text.startswith(COMMAND) else None
    attachments = tuple(_files(message)) + (() if about is None else tuple(_files(about)))
    # A bare mention calls the bot; anything else without words or files is a sticker, or a message whose content
    # Discord keeps from bots without the Message Content intent.
    if not text and not attachments and addressed != "mention":
        return Ignored.EMPTY
    return Inbound(
        key=conversation_key(message),
        event_id=str(message.id),
        author=author_of(message.author, is_bot=message.webhook_id is not None),
        text=_in_context(message, text, about, me),
        addressed=addressed,
        sent_at=message.created_at,
        channel_name=channel_name(message.channel),
        attachments=attachments,
        reply_to=_destination(message, text, attachments).as_dict(),
        mentions_others=addressed in ("thread", "ambient") and _mentions_others(message),
        replies_to=_replies_to(message),
    )


def is_in(thread: discord.Thread, me: int) -> bool:
    """Whether the bot opened ``thread`` or has joined it."""
    return thread.owner_id == me or thread.me is not None


def _addressed(message: discord.Message, me: int) -> Addressed:
    if message.guild is None and isinstance(message.channel, discord.DMChannel):
        return "direct"
    if any(user.id == me for user in message.mentions) or own_role(message) is not None:
        return "mention"
    return "thread" if isinstance(message.channel, discord.Thread) and is_in(message.channel, me) else "ambient"


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


def channel_name(channel: Channel) -> str:
    """The name of the channel, of a thread's the name of the channel that it hangs on; empty in a DM."""
    if isinstance(channel, discord.Thread):
        return channel.name if channel.parent is None else channel.parent.name
    return channel.name if isinstance(channel, discord.abc.GuildChannel) else ""


def begun_post(message: discord.Message) -> discord.Thread | None:
    """The post in a forum or media channel whose first message it is: that has the id of its thread. The message that
    any other thread was started from stands outside of it.
    """
    channel = message.channel
    return channel if isinstance(channel, discord.Thread) and channel.id == message.id else None


def _replied(message: discord.Message, me: int) -> discord.Message | None:
    """The message that it replies to, where that is somebody else's: the bot need not have heard it."""
    if not _replies_to(message) or message.reference is None:
        return None
    replied = message.reference.resolved
    return replied if isinstance(replied, discord.Message) and replied.author.id != me else None


def _in_context(message: discord.Message, text: str, about: discord.Message | None, me: int) -> str:
    """``text`` beneath the message that it is about, or beneath the title of the forum post that it begins."""
    parts = [text]
    if about is not None and (words := said(about, me)):
        parts.insert(0, quoted(f"{about.author.display_name} wrote:", words))
    if (post := begun_post(message)) is not None:
        parts.insert(0, post.name)
    return "\n\n".join(part for part in parts if part)


def _files(message: discord.Message) -> Iterator[Attachment]:
    """Its files, and those of what was forwarded with it."""
    forwarded = [file for snapshot in message.message_snapshots for file in snapshot.attachments]
    for file in (*message.attachments, *forwarded):
        yield Attachment(file.filename, file.content_type or "", file.size, file.url)


def _destination(message: discord.Message, text: str, attachments: Sequence[Attachment]) -> Destination:
    channel = message.channel
    if isinstance(channel, discord.TextChannel):
        stand_in = attachments[0].name if attachments else message.author.display_name
        return Destination(channel.id, message.id, title_of(text) or name_after(stand_in))
    clear = isinstance(channel, discord.Thread | discord.DMChannel)
    return Destination(channel.id, None if clear else message.id)
