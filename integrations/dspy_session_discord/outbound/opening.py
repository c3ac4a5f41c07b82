"""Opening a thread beside the conversation that somebody is in."""

from __future__ import annotations

from collections.abc import Sequence

import discord

from dspy_session.errors import PlatformError
from dspy_session_chat.platform import Opened
from dspy_session_discord.destination import Destination
from dspy_session_discord.key import key_in
from dspy_session_discord.outbound.posting import fresh_nonce
from dspy_session_discord.outbound.title import name_after

NO_THREADS = "Discord has no threads here: they are opened in text channels of a server"


async def open_thread(client: discord.Client, beside: int, title: str) -> Opened:
    """Open a thread in the channel ``beside``, or in the one that the thread ``beside`` hangs on.

    In a text channel it hangs on a message with its title, so that people see it; in a forum that is its first post.

    Raises:
        PlatformError: There are no threads in that place.
        discord.HTTPException: Discord does not open it.
    """
    channel = client.get_channel(beside) or await client.fetch_channel(beside)
    tags: Sequence[discord.ForumTag] = ()
    if isinstance(channel, discord.Thread):
        tags = channel.applied_tags  # of the post beside it, for a forum may want some
        channel = channel.parent or await client.fetch_channel(channel.parent_id)
    name = name_after(title)
    nobody = discord.AllowedMentions.none()
    if isinstance(channel, discord.ForumChannel):
        opened = await channel.create_thread(
            name=name, content=name, applied_tags=tags, allowed_mentions=nobody, suppress_embeds=True
        )
        thread = opened.thread
    elif isinstance(channel, discord.TextChannel):
        starter = await channel.send(
            name, allowed_mentions=nobody, suppress_embeds=True, silent=True, nonce=fresh_nonce()
        )
        thread = await starter.create_thread(name=name)
    else:
        raise PlatformError(NO_THREADS)
    return Opened(key_in(thread, str(thread.guild.id)), Destination(thread.id).as_dict(), link=thread.mention)
