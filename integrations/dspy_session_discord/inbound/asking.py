"""A question that was asked by a command, as the message that it is to the bot."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import discord

from dspy_session_chat.inbound import Attachment, Inbound
from dspy_session_discord.commands.listed import FILE, value_in
from dspy_session_discord.destination import Destination
from dspy_session_discord.inbound.author import author_of
from dspy_session_discord.inbound.translate import channel_name
from dspy_session_discord.inbound.words import quoted
from dspy_session_discord.key import Channel, key_in
from dspy_session_discord.outbound.title import title_of
from dspy_session_discord.ticket import Ticket

REMEMBERED = 200
"""Messages, at most, that somebody is writing a question about."""

WINDOW_TITLE = "Ask about this message"
WINDOW_QUESTION = "What do you want to know?"
QUESTION_LIMIT = 4000
"""Characters in the box of a window, at most."""

_OURS = "dspy-about"
_NAMELESS = "A question"


@dataclass(frozen=True, slots=True)
class About:
    """A message that is asked about.

    Args:
        author: Who wrote it, by the name that people see.
        text: What it says.
        files: Files with it.
    """

    author: str
    text: str
    files: tuple[Attachment, ...] = ()

    @classmethod
    def of(cls, message: Mapping[str, Any]) -> About:
        """The message that came with a command, as Discord writes it down."""
        author = message.get("author") or {}
        name = str(author.get("global_name") or author.get("username") or "Somebody")
        return cls(name, str(message.get("content") or "").strip(), files_in(message.get("attachments") or ()))

    def beneath(self, question: str) -> str:
        """What the agent is asked: the question, and what it is about."""
        about = quoted(f"{self.author} wrote:", self.text) if self.text else ""
        return "\n\n".join(part for part in (question, about) if part)


class Abouts:
    """What somebody is writing a question about, by the id of the message: Discord shows it to the bot once, also where
    it keeps the text of messages from it.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[int, About] = OrderedDict()

    def keep(self, message_id: int, about: About) -> None:
        """Somebody begins to write a question about that message."""
        self._known[message_id] = about
        self._known.move_to_end(message_id)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def get(self, message_id: int) -> About | None:
        """That message, if it is known; others may be asking about it too."""
        return self._known.get(message_id)


def window(message_id: int) -> discord.ui.Modal:
    """The window in which somebody writes what they want to know of a message; nothing waits for it."""
    modal = discord.ui.Modal(title=WINDOW_TITLE, custom_id=f"{_OURS}:{message_id}")
    box: discord.ui.TextInput[discord.ui.Modal] = discord.ui.TextInput(
        style=discord.TextStyle.paragraph, required=False, max_length=QUESTION_LIMIT
    )
    modal.add_item(discord.ui.Label(text=WINDOW_QUESTION, component=box))
    modal.stop()
    return modal


def asked_about(interaction: discord.Interaction) -> int | None:
    """Id of the message that a window which was sent off asks about; None for anything else."""
    if interaction.type is not discord.InteractionType.modal_submit:
        return None
    data: Any = interaction.data or {}
    ours, _, message_id = str(data.get("custom_id", "")).partition(":")
    return int(message_id) if ours == _OURS and message_id.isascii() and message_id.isdigit() else None


def link_to(interaction: discord.Interaction, channel: Channel, message_id: int) -> str:
    """Where a message in ``channel`` is, as a link."""
    return f"https://discord.com/channels/{interaction.guild_id or '@me'}/{channel.id}/{message_id}"


def files_in(attachments: Sequence[Mapping[str, Any]]) -> tuple[Attachment, ...]:
    """Files, as Discord writes them down."""
    return tuple(
        Attachment(
            str(each.get("filename", "")),
            str(each.get("content_type") or ""),
            int(each.get("size") or 0),
            str(each.get("url", "")),
        )
        for each in attachments
    )


def files_given(data: Mapping[str, Any]) -> tuple[Attachment, ...]:
    """The files that were given with a command."""
    known = (data.get("resolved") or {}).get("attachments") or {}
    given = known.get(value_in(data.get("options") or (), FILE))
    return () if given is None else files_in([given])


def place_of(channel: Channel, original: str, title: str) -> Destination:
    """Where an answer stands that was asked for by a command: in the channel, as Discord shows all such answers. In a
    text channel a thread is opened from it once it is complete, so that people can go on there without a command; it
    has the id of the answer's first message.
    """
    if not isinstance(channel, discord.TextChannel) or not original:
        return Destination(channel.id)
    return Destination(channel.id, int(original), title_of(title) or _NAMELESS)


def question_of(
    interaction: discord.Interaction,
    channel: Channel,
    ticket: Ticket,
    text: str,
    files: tuple[Attachment, ...] = (),
    title: str = "",
) -> Inbound:
    """What was asked.

    Args:
        interaction: How it was asked.
        channel: Where.
        ticket: How it is answered.
        text: What the agent is asked.
        files: Files with it.
        title: After what a thread is named in which people go on; after ``text`` if empty.
    """
    place = place_of(channel, ticket.original, title or text)
    return Inbound(
        key=key_in(channel, str(interaction.guild_id or ""), place.message),
        event_id=str(interaction.id),
        author=author_of(interaction.user),
        text=text,
        addressed="mention" if interaction.guild_id else "direct",
        sent_at=interaction.created_at,
        channel_name=channel_name(channel),
        attachments=files,
        reply_to=ticket.beside(place),
    )
