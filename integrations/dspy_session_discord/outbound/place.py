"""Where an answer is written: the channel, or the thread that is opened for it."""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Self

import discord

from dspy_session_discord.destination import Destination
from dspy_session_discord.error_codes import THREAD_EXISTS
from dspy_session_discord.outbound.response import Response
from dspy_session_discord.permissions import OPENING_THREADS, in_words, lacking_in
from dspy_session_discord.refusal import FAILURES, explain

_log = logging.getLogger(__name__)

REMEMBERED = 1000
"""Answers under way, at most, whose place is kept."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where to write.

    Args:
        channel: The channel, thread or DM.
        reference: The message that the first part replies to.
        compromise: Why this is not the thread that it should be, in one line; empty when it is what was wanted.
        response: What answers an interaction there, for as long as it can be.
        first: Whether the answer begins here: its first message is the reply, and the one that an interaction is
            answered with.
    """

    channel: discord.PartialMessageable
    reference: discord.MessageReference | None = None
    compromise: str = ""
    response: Response | None = None
    first: bool = True

    @property
    def further(self) -> Self:
        """Where the messages after the first one are written."""
        return replace(self, reference=None, first=False)

    def awaits(self, message_id: str) -> bool:
        """Whether the message that an interaction is answered with still waits, and is another one than that."""
        original = "" if self.response is None else self.response.ticket.original
        return self.first and bool(original) and original != message_id


class Places:
    """Where answers are being shown, by the event that each answers: to edit a message is one request then, and not
    also a try to open the thread that could not be opened.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[str, Place] = OrderedDict()

    def get(self, event_id: str) -> Place | None:
        """Where the answer to that event is shown, if it is known."""
        return self._known.get(event_id)

    def keep(self, event_id: str, place: Place) -> None:
        """The answer to that event is shown at ``place``."""
        self._known[event_id] = place
        self._known.move_to_end(event_id)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def forget(self, event_id: str) -> None:
        """The answer to that event is complete."""
        self._known.pop(event_id, None)


async def find(client: discord.Client, destination: Destination) -> Place:
    """The place that ``destination`` names; its thread is opened unless it is there already.

    Raises:
        discord.HTTPException: Discord fails; that it does not let the bot open a thread is no failure.
    """
    if destination.message is None or destination.thread_name is None:
        return beneath(client, destination)
    compromise = await _open_thread(client, destination.channel, destination.message, destination.thread_name)
    if not compromise:
        # A thread that was started from a message has the message's id.
        return Place(client.get_partial_messageable(destination.message))
    return replace(beneath(client, destination), compromise=compromise)


def beneath(client: discord.Client, destination: Destination) -> Place:
    """The place that ``destination`` names, without its thread: a reply in the channel."""
    reference = None
    if destination.message is not None:
        reference = discord.MessageReference(
            message_id=destination.message, channel_id=destination.channel, fail_if_not_exists=False
        )
    return Place(client.get_partial_messageable(destination.channel), reference)


async def open_for_more(client: discord.Client, destination: Destination) -> None:
    """Open the thread in which people go on from an answer that was asked for by a command; that it cannot be opened
    is no failure.
    """
    if destination.thread_name is None:
        return
    try:
        place = await find(client, destination)
    except FAILURES as error:
        compromise = explain(error)
    else:
        compromise = place.compromise
    if compromise:
        _log.info("no thread was opened from an answer in channel %s: %s", destination.channel, compromise)


async def _open_thread(client: discord.Client, channel_id: int, message_id: int, name: str) -> str:
    """Open a thread on the message unless there is one; why that cannot be, or nothing."""
    if isinstance(client.get_channel(message_id), discord.Thread):
        return ""
    try:
        channel = client.get_channel(channel_id) or await client.fetch_channel(channel_id)
        if not isinstance(channel, discord.TextChannel):
            return "the channel has no threads"
        if missing := lacking_in(client, channel_id, OPENING_THREADS):
            return f"the bot's role lacks {in_words(missing)}"
        await channel.get_partial_message(message_id).create_thread(name=name)
    except discord.HTTPException as error:
        if error.code == THREAD_EXISTS:
            return ""
        if error.status == 429 or error.status >= 500:
            raise
        return explain(error)
    return ""
