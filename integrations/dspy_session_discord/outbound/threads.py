"""Whether a mention opens a thread, and what becomes of a thread's name once something was said in it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Self, TypeAlias, get_args

import discord

from dspy_session.errors import ConfigurationError
from dspy_session_chat.inbound import Inbound
from dspy_session_chat.platform import Post
from dspy_session_discord.destination import Destination
from dspy_session_discord.outbound.title import name_after, title_of
from dspy_session_discord.refusal import FAILURES, explain

_log = logging.getLogger(__name__)

Wish = Literal["open", "reply"]
"""A mention in a channel opens a thread, or is replied to where it is."""

Wishes: TypeAlias = "Wish | Mapping[str, Wish]"

ALL_OTHERS = "*"
"""Stands for the channels that are not named."""


@dataclass(frozen=True, slots=True)
class Threads:
    """Where a mention opens a thread.

    Args:
        by_channel: What is wished in a channel, by its name or id.
        elsewhere: What is wished in every other one.
    """

    by_channel: Mapping[str, Wish]
    elsewhere: Wish = "open"

    @classmethod
    def of(cls, wishes: Any) -> Self:
        """What ``Discord(threads=…)`` says.

        Raises:
            ConfigurationError: It says none of what there is.
        """
        named = dict(wishes) if isinstance(wishes, Mapping) else {ALL_OTHERS: wishes}
        for channel, wish in named.items():
            if not isinstance(channel, str) or not isinstance(wish, str) or wish not in get_args(Wish):
                raise ConfigurationError(
                    'threads must be "open", "reply", or a mapping of channels to these, such as '
                    f'{{"support": "open", "*": "reply"}}; got {wishes!r:.200}'
                )
        return cls({name: wish for name, wish in named.items() if name != ALL_OTHERS}, named.get(ALL_OTHERS, "open"))

    def adjusted(self, destination: Destination, client: discord.Client) -> Destination:
        """``destination`` without a thread to open, where none is wished."""
        channel = client.get_channel(destination.channel)
        name = channel.name if isinstance(channel, discord.abc.GuildChannel) else ""
        by_id = self.by_channel.get(str(destination.channel))
        wish = by_id or self.by_channel.get(name) or self.elsewhere
        return destination if wish == "open" else replace(destination, thread_name=None)


def better_name(thread: discord.Thread, me: int, author: str, question: str, answer: str) -> str:
    """What a thread is to be called from now on; empty for as it is.

    The bot names a thread after its first message. Where that was a mention and nothing else, it is called after who
    wrote it, until there is something to call it after.

    Args:
        thread: The thread.
        me: The bot's user id: others' threads keep their names.
        author: The name of the person who is answered.
        question: What they wrote; empty for nothing.
        answer: What is answered.
    """
    if thread.owner_id != me or thread.name != name_after(author):
        return ""
    name = title_of(question) or title_of(answer)
    return "" if name == thread.name else name


async def name_anew(client: discord.Client, thread_id: int, post: Post) -> None:
    """Give a thread the better name that it has by an answer which was posted in it, if it has one. That it cannot be
    named is no failure.
    """
    thread = client.get_channel(thread_id)
    if not isinstance(thread, discord.Thread) or client.user is None or not post.turn_id or post.interim:
        return
    question = post.inbound.text if isinstance(post.inbound, Inbound) else ""
    name = better_name(thread, client.user.id, post.inbound.author.name, question, post.reply.text)
    if not name:
        return
    try:
        await thread.edit(name=name)
    except FAILURES as error:
        _log.debug("thread %s keeps its name: %s", thread_id, explain(error))
