"""Bringing an answer to its place: the thread opened, the parts sent, each of them once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import discord

from dspy_session_chat.platform import Post
from dspy_session_discord.destination import Destination
from dspy_session_discord.markup import split
from dspy_session_discord.refusal import explain

THREAD_EXISTS = 160004
"""Discord's error code: a thread has already been created for this message."""

NONCE_LENGTH = 25
"""Characters in a nonce, at most."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where to write.

    Args:
        channel: The channel, thread or DM.
        reference: The message that the first part replies to.
        compromise: Why this is not the thread that it should be, in one line; empty when it is what was wanted.
    """

    channel: discord.PartialMessageable
    reference: discord.MessageReference | None = None
    compromise: str = ""


async def find(client: discord.Client, destination: Destination) -> Place:
    """The place that ``destination`` names; its thread is opened unless it is there already.

    Raises:
        discord.HTTPException: Discord fails; that it does not let the bot open a thread is no failure.
    """
    if destination.message is None:
        return Place(client.get_partial_messageable(destination.channel))
    compromise = ""
    if destination.thread_name is not None:
        compromise = await _open_thread(client, destination.channel, destination.message, destination.thread_name)
        if not compromise:
            # A thread that was started from a message has the message's id.
            return Place(client.get_partial_messageable(destination.message))
    reference = discord.MessageReference(
        message_id=destination.message, channel_id=destination.channel, fail_if_not_exists=False
    )
    return Place(client.get_partial_messageable(destination.channel), reference, compromise)


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


async def _open_thread(client: discord.Client, channel_id: int, message_id: int, name: str) -> str:
    """Open a thread on the message unless there is one; why that cannot be, or nothing."""
    if isinstance(client.get_channel(message_id), discord.Thread):
        return ""
    try:
        channel = client.get_channel(channel_id) or await client.fetch_channel(channel_id)
        if not isinstance(channel, discord.TextChannel):
            return "the channel has no threads"
        await channel.get_partial_message(message_id).create_thread(name=name)
    except discord.HTTPException as error:
        if error.code == THREAD_EXISTS:
            return ""
        if error.status == 429 or error.status >= 500:
            raise
        return explain(error)
    return ""
