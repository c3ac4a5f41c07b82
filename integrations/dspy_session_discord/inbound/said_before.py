"""What was said in a place before the bot was called."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime

import discord

from dspy_session_chat.action import Event
from dspy_session_chat.inbound import Inbound
from dspy_session_chat.platform import Said
from dspy_session_discord.destination import Destination
from dspy_session_discord.inbound.author import author_of
from dspy_session_discord.inbound.translate import SPOKEN
from dspy_session_discord.inbound.words import said

ANSWERS = (discord.MessageType.chat_input_command, discord.MessageType.context_menu_command)
"""What answers a command, of ours or of another bot's."""

MOST_READ = 200
"""Messages that are looked at, however many are asked for: two requests. Pins and joinings are among them."""


async def said_before(client: discord.Client, event: Event, most: int) -> list[Said]:
    """The newest ``most`` messages with words before ``event`` in the place where it happened, oldest first.

    In a thread that was started from a message, that message is the first.

    Raises:
        discord.HTTPException: Discord does not show them.
    """
    me = None if client.user is None else client.user.id
    found: list[Said] = []
    if me is None or most < 1:
        return found
    async with aclosing(_newest_first(client, event)) as messages:
        async for message in messages:
            words = said(message, me)
            if not words:
                continue
            author = author_of(message.author, is_bot=message.webhook_id is not None)
            found.append(Said(author, words, ours=message.author.id == me))
            if len(found) == most:
                break
    return found[::-1]


async def _newest_first(client: discord.Client, event: Event) -> AsyncGenerator[discord.Message]:
    destination = Destination.from_dict(event.reply_to)
    channel = client.get_channel(destination.channel)
    place = (
        channel if isinstance(channel, discord.abc.Messageable) else client.get_partial_messageable(destination.channel)
    )
    before: discord.Object | datetime = (
        discord.Object(int(event.event_id)) if isinstance(event, Inbound) else event.sent_at
    )
    async for message in place.history(limit=MOST_READ, before=before):
        if message.type is discord.MessageType.thread_starter_message:
            started_from = None if message.reference is None else message.reference.resolved
            if isinstance(started_from, discord.Message):
                yield started_from
        elif message.type in (*SPOKEN, *ANSWERS):
            yield message
