"""Bringing an answer to its place: what shows already is changed, what is missing is sent, each part once."""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import discord

from dspy_session_chat.markup.long_code import as_files
from dspy_session_chat.platform import Post
from dspy_session_chat.reply import ReplyFile
from dspy_session_discord.error_codes import NO_REPLY_WITHOUT_HISTORY, THREAD_ARCHIVED, UNKNOWN_MESSAGE
from dspy_session_discord.outbound.button import view_of
from dspy_session_discord.outbound.layout import laid_out
from dspy_session_discord.outbound.markup import MESSAGE_LIMIT, length, shorten, sound
from dspy_session_discord.outbound.place import Place
from dspy_session_discord.outbound.response import VOID
from dspy_session_discord.outbound.written import Written, as_file

_log = logging.getLogger(__name__)

NONCE_LENGTH = 25
"""Characters in a nonce, at most."""

MOST_FILES = 10
"""Files that Discord takes with one message."""

_NO_FILES = (403, 413)
"""Statuses of refusals that may be for the files alone: the bot may not attach any, or they are too large."""

_NOBODY = discord.AllowedMentions.none()


def written(post: Post) -> list[Written]:
    """The messages that ``post`` becomes; the last one has the buttons."""
    texts, whole = laid_out(post.reply, post.most)
    long_code = as_files(sound(post.reply.text), MESSAGE_LIMIT, length) if whole is None else [whole]
    files = [*post.reply.files, *long_code]
    bundles = [files[start : start + MOST_FILES] for start in range(0, len(files), MOST_FILES)]
    texts += [""] * (len(bundles) - 1 if texts else len(bundles))
    without = len(texts) - len(bundles)
    return [
        Written(
            text,
            _nonce(post, number, text),
            post.reply.buttons if number == len(texts) - 1 else (),
            bundles[number - without] if number >= without else (),
            post.reply.private,
        )
        for number, text in enumerate(texts)
    ]


async def deliver(place: Place, post: Post) -> AsyncIterator[str]:
    """Let the answer stand there in as many messages as it takes; their ids, one after the other.

    Messages that show a part of it already are edited, further ones are sent, surplus ones deleted. No mention in
    them notifies anybody, and no link unfolds.

    Raises:
        discord.HTTPException: Discord refuses a part.
    """
    refused: list[ReplyFile] = []
    here, further = place, place.further
    messages = written(post)
    for number, message in enumerate(messages):
        shown = post.shown[number] if number < len(post.shown) else None
        try:
            message_id = await _put(here, message, shown)
        except discord.HTTPException as error:
            if not message.files or error.status not in _NO_FILES:
                raise
            refused += message.files
            if not message.text:
                continue
            message_id = await _put(here, replace(message, files=()), shown)
        yield message_id
        here = further
    for surplus in post.shown[len(messages) :]:
        await _take_away(place, surplus)
    if refused:
        note = shorten("Discord did not take: " + ", ".join(_described(file) for file in refused), MESSAGE_LIMIT - 3)
        yield await send(further, Written(f"-# {note}", _nonce(post, len(messages), note), private=post.reply.private))


async def send(place: Place, message: Written) -> str:
    """Send ``message``; its id."""
    if place.response is not None and place.response.takes(message):
        try:
            return await place.response.send(message, first=place.first)
        except discord.HTTPException as error:
            if error.code not in VOID or (message.private and not place.response.ticket.direct):
                raise
            _log.info("an interaction is over, so what answers it is written in channel %s", place.channel.id)
    options: dict[str, Any] = {"reference": place.reference} if place.reference is not None else {}
    if (view := view_of(message.buttons)) is not None:
        options["view"] = view
    if message.files:
        options["files"] = [as_file(file) for file in message.files]
    try:
        sent = await place.channel.send(
            message.text or None,
            **options,
            allowed_mentions=_NOBODY,
            mention_author=False,
            suppress_embeds=True,
            nonce=message.nonce,
        )
    except discord.HTTPException as error:
        if error.code != NO_REPLY_WITHOUT_HISTORY or place.reference is None:
            raise
        return await send(replace(place, reference=None), message)
    return str(sent.id)


async def change(place: Place, message_id: str, message: Written) -> None:
    """Let a message of the bot's be ``message``: also its buttons go when that has none. That its links do not unfold
    stays as it was sent.
    """
    if place.response is not None and place.response.takes(message):
        try:
            await place.response.change(message_id, message)
        except discord.HTTPException as error:
            if error.code not in (*VOID, UNKNOWN_MESSAGE):  # it may have been written in the channel
                raise
        else:
            return
    options: dict[str, Any] = {"attachments": [as_file(file) for file in message.files]} if message.files else {}
    await place.channel.get_partial_message(int(message_id)).edit(
        content=message.text or None, view=view_of(message.buttons), allowed_mentions=_NOBODY, **options
    )


def fresh_nonce() -> str:
    """A nonce for a message that is sent once: discord.py's own tries to send it have it in common."""
    return secrets.token_hex(NONCE_LENGTH // 2)


async def _put(place: Place, message: Written, shown: str | None) -> str:
    """Change the message that is shown, or send it when there is none or it cannot be changed any more; its id."""
    if shown is None:
        return await send(place, message)
    try:
        await change(place, shown, message)
    except discord.HTTPException as error:
        if error.code not in (UNKNOWN_MESSAGE, THREAD_ARCHIVED):
            raise
        sent = await send(place, message)  # which opens the thread again
        await _take_away(place, shown)
        return sent
    return shown


async def _take_away(place: Place, message_id: str) -> None:
    try:
        if place.response is not None:
            with suppress(discord.HTTPException):  # it is deleted in the channel, if it is there still
                await place.response.take_away(message_id)
        await place.channel.get_partial_message(int(message_id)).delete()
    except discord.NotFound as error:
        _log.debug("message %s was gone already: %s", message_id, error)


def _described(file: ReplyFile) -> str:
    return f"{file.name} ({len(file.data) / 1_000_000:.1f} MB)"


def _nonce(post: Post, number: int, part: str) -> str:
    identity = "\0".join((post.inbound.event_id, post.turn_id, str(number), part))
    return hashlib.sha256(identity.encode()).hexdigest()[:NONCE_LENGTH]
