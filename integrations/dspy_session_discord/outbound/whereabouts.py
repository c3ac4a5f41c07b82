"""Where answers are written, and what is said where that is not possible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import discord

from dspy_session.errors import PlatformError
from dspy_session_chat.action import Event
from dspy_session_chat.platform import Post, Said
from dspy_session_discord.destination import Destination
from dspy_session_discord.inbound.said_before import said_before
from dspy_session_discord.outbound.obstacles import ATTACH, OPEN, QUOTE, READ, WRITE, Obstacles
from dspy_session_discord.outbound.place import Place, find
from dspy_session_discord.outbound.threads import Threads, name_anew
from dspy_session_discord.permissions import without
from dspy_session_discord.refusal import FAILURES, explain, refused_to_post


class Whereabouts:
    """Finds the places of answers.

    Args:
        threads: Where a mention opens a thread.
    """

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._obstacles = Obstacles()

    def destination(self, client: discord.Client, event: Event) -> Destination:
        """Where the answer to ``event`` is wished to be."""
        return self._threads.adjusted(Destination.from_dict(event.reply_to), client)

    async def find(self, client: discord.Client, event: Event) -> Place:
        """Where the answer to ``event`` can be; its thread is opened unless it is there already.

        Raises:
            discord.HTTPException: Discord fails.
        """
        destination = self.destination(client, event)
        place = await find(client, destination)
        if place.compromise:
            self._obstacles.warn(client, destination.channel, OPEN, f"no thread can be opened: {place.compromise}")
        elif destination.thread_name is not None:
            self._obstacles.works(destination.channel, OPEN)
        if place.reference is None or not (lacks := without(client, destination.channel, "read_message_history")):
            return place
        self._obstacles.warn(client, destination.channel, QUOTE, f"answers quote nothing: the bot's role lacks {lacks}")
        return replace(place, reference=None)

    def noted(self, post: Post, place: Place) -> Post:
        """``post``, and beneath it why it is in no thread, if nobody there has read that yet."""
        why = place.compromise
        if not why or not post.turn_id or not self._obstacles.is_news(place.channel.id, f"{OPEN}, for people", why):
            return post
        text = f"{post.reply.text}\n\n-# I could not open a thread for this: {why}."
        return replace(post, reply=replace(post.reply, text=text))

    async def is_posted(self, client: discord.Client, post: Post, place: Place) -> None:
        """An answer stands there: what was in the way is no more, and its thread may have a better name now."""
        channel_id = place.channel.id
        if place.response is None:  # what answers an interaction needs no permission
            self._obstacles.works(channel_id, WRITE)
            if post.reply.files and (lacks := without(client, channel_id, "attach_files")):
                self._obstacles.warn(client, channel_id, ATTACH, f"no files can be sent: the bot's role lacks {lacks}")
        await name_anew(client, channel_id, post)

    async def said_before(self, client: discord.Client, event: Event, most: int) -> Sequence[Said]:
        """The newest ``most`` messages before ``event``, oldest first; none where Discord does not show them."""
        channel_id = Destination.from_dict(event.reply_to).channel
        try:
            said = await said_before(client, event, most)
        except FAILURES as error:
            why = explain(error)
            said = []
        else:
            lacks = "" if said else without(client, channel_id, "read_message_history")  # Discord shows nothing then
            why = f"the bot's role lacks {lacks}" if lacks else ""
        if why:
            self._obstacles.warn(client, channel_id, READ, f"what was said before is not known: {why}")
        else:
            self._obstacles.works(channel_id, READ)
        return said

    async def unposted(
        self, client: discord.Client | None, event: Event, place: Place | None, error: PlatformError
    ) -> PlatformError:
        """What to raise where Discord refuses an answer, with all that is known of why; whoever asked was told then.

        Args:
            client: The client.
            event: What was to be answered.
            place: Where; None where none was found.
            error: What was raised, with Discord's refusal as its cause.
        """
        refused = error.__cause__
        if not isinstance(refused, discord.HTTPException) or client is None:
            return error
        channel_id = Destination.from_dict(event.reply_to).channel if place is None else place.channel.id
        return refused_to_post(refused, await self._obstacles.unposted(client, event, channel_id, refused))
