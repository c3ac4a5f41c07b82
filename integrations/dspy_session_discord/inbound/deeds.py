"""What people do in Discord besides writing: edits, deletions, reactions and buttons, as the bot takes them."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import discord

from dspy_session_chat.action import Action, Deletion, Edit, Press, Reaction
from dspy_session_chat.inbound import Author
from dspy_session_discord.destination import Destination
from dspy_session_discord.inbound.author import UNKNOWN, author_of
from dspy_session_discord.inbound.translate import Ignored, channel_name, translate
from dspy_session_discord.key import Channel, key_in
from dspy_session_discord.outbound.button import ButtonName, answer_in
from dspy_session_discord.ticket import Ticket

REMEMBERED_REACTIONS = 10_000
"""Reactions whose last state is kept, some hundred bytes each: more than a resume delivers again."""

_SKIN_TONES = re.compile("[\U0001f3fb-\U0001f3ff]")


def edit_of(event: discord.RawMessageUpdateEvent, me: int) -> Action | None:
    """The edit that ``event`` tells of; None when nobody changed what a message says.

    Discord sends the same event when a link unfolds, a message is pinned or a thread is opened from it: then the
    message was never edited, or it carries the time of an edit that was told before, and so the same id. Where the
    client keeps messages, the texts are compared.
    """
    message = event.message
    if message.edited_at is None:
        return None
    if event.cached_message is not None and event.cached_message.content == message.content:
        return None
    said = translate(message, me)
    if isinstance(said, Ignored):
        return None
    return Action(
        key=said.key,
        event_id=f"{said.event_id}-edited-{_milliseconds(message.edited_at)}",
        author=said.author,
        sent_at=message.edited_at,
        deed=Edit(said.event_id, said.text),
        channel_name=said.channel_name,
        reply_to=said.reply_to,
        direct=said.addressed == "direct",
    )


def deletions_of(
    event: discord.RawMessageDeleteEvent | discord.RawBulkMessageDeleteEvent, client: discord.Client, at: datetime
) -> Iterator[Action]:
    """The deletions that ``event`` tells of. Discord says neither who deleted a message nor who had written it."""
    ids = event.message_ids if isinstance(event, discord.RawBulkMessageDeleteEvent) else {event.message_id}
    channel = _channel(client, event.channel_id, event.guild_id)
    for message_id in sorted(ids):
        yield Action(
            key=key_in(channel, str(event.guild_id or ""), message_id),
            event_id=f"{message_id}-deleted",
            author=UNKNOWN,
            sent_at=at,
            deed=Deletion(str(message_id)),
            channel_name=channel_name(channel),
            reply_to=Destination(_beneath(client, channel, message_id).id).as_dict(),
        )


class Reactions:
    """Tells reactions from each other, for Discord gives them no ids.

    One that is put there, taken away and put there again is three events; one that is put there when it is there
    already is an event that Discord delivered twice, and gets the id of the first. So it is enough to know each one's
    last state. The memory is of this process, as is the session that Discord delivers again from.
    """

    def __init__(self) -> None:
        self._last: OrderedDict[str, tuple[bool, datetime]] = OrderedDict()

    def told(self, event: discord.RawReactionActionEvent, client: discord.Client, at: datetime) -> Action | None:
        """The reaction that ``event`` tells of at the time ``at``; None when it is the bot's own or not to a message
        of its own, as far as Discord tells (it does when a reaction is added).
        """
        me = None if client.user is None else client.user.id
        if event.user_id == me or event.message_author_id not in (None, me):
            return None
        added, emoji = event.event_type == "REACTION_ADD", _emoji(event.emoji)
        if not emoji:
            return None
        which = f"{event.message_id}-{event.user_id}-{event.emoji.id or emoji}"  # two custom emoji may share a name
        since = self._since(which, added, at)
        channel = _channel(client, event.channel_id, event.guild_id)
        user = event.member or client.get_user(event.user_id)
        return Action(
            key=key_in(channel, str(event.guild_id or "")),
            event_id=f"{which}-{'added' if added else 'removed'}-{_milliseconds(since)}",
            author=Author(str(event.user_id), "") if user is None else author_of(user),
            sent_at=since,
            deed=Reaction(emoji, str(event.message_id), added),
            channel_name=channel_name(channel),
            reply_to=_reply_under(channel, event.guild_id, event.message_id).as_dict(),
        )

    def _since(self, which: str, added: bool, at: datetime) -> datetime:
        """When that reaction came to be there, or to be gone."""
        before = self._last.pop(which, None)
        since = before[1] if before is not None and before[0] == added else at
        self._last[which] = (added, since)
        if len(self._last) > REMEMBERED_REACTIONS:
            self._last.popitem(last=False)
        return since


def press_of(interaction: discord.Interaction, name: ButtonName) -> Action | None:
    """The press of the button ``name``, or the answer to its question; None where Discord names no place."""
    channel = interaction.channel
    if channel is None:
        return None
    answer = interaction.type is discord.InteractionType.modal_submit
    under = interaction.message
    # Where the bot could open no thread, its message is a reply to the one that the conversation begins with.
    asked = None if under is None or under.reference is None else under.reference.message_id
    return Action(
        key=key_in(channel, str(interaction.guild_id or ""), asked),
        event_id=str(interaction.id),
        author=author_of(interaction.user),
        sent_at=interaction.created_at,
        deed=Press(
            name.action,
            name.about,
            answer_in(interaction.data) if answer else "",
            "" if under is None else str(under.id),
        ),
        channel_name=channel_name(channel),
        reply_to=Ticket(interaction.application_id, interaction.token, direct=interaction.guild_id is None).beside(
            _reply_under(channel, interaction.guild_id, None if under is None else under.id)
        ),
        direct=isinstance(channel, discord.DMChannel),
    )


def name_pressed(interaction: discord.Interaction) -> ButtonName | None:
    """Which of our buttons ``interaction`` is about; None when it is about something else."""
    if interaction.type not in (discord.InteractionType.component, discord.InteractionType.modal_submit):
        return None
    data: Any = interaction.data or {}
    return ButtonName.parse(str(data.get("custom_id", "")))


def _channel(client: discord.Client, channel_id: int, guild_id: int | None) -> Channel:
    return client.get_channel(channel_id) or client.get_partial_messageable(channel_id, guild_id=guild_id)


def _beneath(client: discord.Client, channel: Channel, message_id: int) -> Channel:
    """Where one goes on talking about a message: the thread that was started from it, which has its id, if any."""
    thread = client.get_channel(message_id)
    return thread if isinstance(thread, discord.Thread) else channel


def _reply_under(channel: Channel, guild_id: int | None, message_id: int | None) -> Destination:
    """Where an answer goes; among other talk it quotes what it is about."""
    among_others = guild_id is not None and not isinstance(channel, discord.Thread)
    return Destination(channel.id, message_id if among_others else None)


def _emoji(emoji: discord.PartialEmoji) -> str:
    """The emoji itself without skin tone, or the name of one that a server has made; empty when that is gone."""
    name = emoji.name or ""
    return _SKIN_TONES.sub("", name) if emoji.is_unicode_emoji() else name


def _milliseconds(time: datetime) -> int:
    return round(time.timestamp() * 1000)
