"""Bringing an answer to its place: the thread opened, the parts sent, each of them once."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from typing import Any

import discord

from dspy_session_chat.platform import Post
from dspy_session_discord.destination import Destination
from dspy_session_discord.markup import split
from dspy_session_discord.refusal import explain

_log = logging.getLogger(__name__)

THREAD_EXISTS = 160004
"""Discord's error code: a thread has already been created for this message."""

NONCE_LENGTH = 25
"""Characters in a nonce, at most."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where to write: a channel, and the message that the first part replies to."""

    channel: discord.PartialMessageable
    reference: discord.MessageReference | None = None


async def find(client: discord.Client, destination: Destination) -> Place:
    """The place that ``destination`` names; its thread is opened unless it is there already.

    Raises:
        discord.HTTPException: Discord fails; that it does not let the bot open a thread is no failure.
    """
    if destination.message is None:
        return Place(client.get_partial_messageable(destination.channel))
    if destination.thread_name is not None and await _has_thread(
        client, destination.channel, destination.message, destination.thread_name
    ):
        # A thread that was started from a message has the message's id.
        return Place(client.get_partial_messageable(destination.message))
    reference = discord.MessageReference(
        message_id=destination.message, channel_id=destination.channel, fail_if_not_exists=False
    )
    return Place(client.get_partial_messageable(destination.channel), reference)


async def send(place: Place, post: Post) -> tuple[str, ...]:
    """Send the answer in as many messages as it takes; their ids.

    Each part carries a nonce that is its own, so Discord answers a part that is sent again within some minutes with
    the message that is there already. No mention in it notifies anybody, and no link unfolds.

    Raises:
        discord.HTTPException: Discord refuses a part.
    """
    ids: list[str] = []
    for number, part in enumerate(split(post.text)):
        quoting: dict[str, Any] = {"reference": place.reference} if place.reference is not None and not ids else {}
        message = await place.channel.send(
            part,
            **quoting,
            allowed_mentions=discord.AllowedMentions.none(),
            mention_author=False,
            suppress_embeds=True,
            nonce=_nonce(post, number, part),
        )
        ids.append(str(message.id))
    return tuple(ids)


def _nonce(post: Post, number: int, part: str) -> str:
    identity = "\0".join((post.inbound.event_id, post.turn_id, str(number), part))
    return hashlib.sha256(identity.encode()).hexdigest()[:NONCE_LENGTH]


async def _has_thread(client: discord.Client, channel_id: int, message_id: int, name: str) -> bool:
    """Whether there is a thread on the message, after trying to open one."""
    if isinstance(client.get_channel(message_id), discord.Thread):
        return True
    try:
        channel = client.get_channel(channel_id) or await client.fetch_channel(channel_id)
        if not isinstance(channel, discord.TextChannel):
            return False
        await channel.get_partial_message(message_id).create_thread(name=name)
    except discord.HTTPException as error:
        if error.code == THREAD_EXISTS:
            return True
        if error.status == 429 or error.status >= 500:
            raise
        _log.warning("answering in channel %s, not in a thread: %s", channel_id, explain(error))
        return False
    return True
