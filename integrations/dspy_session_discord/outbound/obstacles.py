"""What keeps answers from where they belong: told to the operator and to whoever asked, once until it changes."""

from __future__ import annotations

import logging
from collections import OrderedDict

import discord

from dspy_session_chat.action import Event
from dspy_session_discord.error_codes import MISSING_ACCESS, MISSING_PERMISSIONS, THREAD_LOCKED, UNKNOWN_CHANNEL
from dspy_session_discord.permissions import in_words, lacking_in, place_name, writing_in
from dspy_session_discord.refusal import FAILURES, explain

_log = logging.getLogger(__name__)

OPEN, QUOTE, READ, ATTACH, WRITE = "open a thread", "quote", "read", "attach", "write"
"""What may be in the way of."""

REMEMBERED = 1000
"""What was told last, at most."""

_FOR_PEOPLE = {
    UNKNOWN_CHANNEL: "it is gone",
    MISSING_ACCESS: "I cannot see it any more",
    MISSING_PERMISSIONS: "I may not write there",
    THREAD_LOCKED: "it is locked",
}
"""By Discord's error code: why a person gets no answer in a place where they asked. They read it in a direct message;
the answer itself is not sent there, for others may have been spoken of in it."""


class Obstacles:
    """Tells of what is in the way. What was told is forgotten once the same thing works."""

    def __init__(self) -> None:
        self._told: OrderedDict[tuple[int, str], str] = OrderedDict()

    def is_news(self, channel_id: int, deed: str, line: str) -> bool:
        """Whether that has not been told yet; from now on it has.

        Args:
            channel_id: The channel or thread.
            deed: What cannot be done there.
            line: Why.
        """
        news = self._told.get((channel_id, deed)) != line
        self._told[channel_id, deed] = line
        self._told.move_to_end((channel_id, deed))
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        return news

    def works(self, channel_id: int, deed: str) -> None:
        """That can be done there again."""
        for known in [known for known in self._told if known[0] == channel_id and known[1].startswith(deed)]:
            del self._told[known]

    def warn(self, client: discord.Client, channel_id: int, deed: str, line: str) -> bool:
        """Tell the operator of what is in the way, unless it was told; whether it was news."""
        news = self.is_news(channel_id, deed, line)
        if news:
            _log.warning("in %s, %s", place_name(client, channel_id), line)
        return news

    async def unposted(
        self, client: discord.Client, event: Event, channel_id: int, error: discord.HTTPException
    ) -> str:
        """Tell whoever asked that their answer cannot be posted; why, for the operator, and shorter once that is known.

        Args:
            client: The client.
            event: What was to be answered.
            channel_id: Where the answer was to be.
            error: How Discord refused it.
        """
        where, why = place_name(client, channel_id), reason(client, channel_id, error)
        reason_for_people = _FOR_PEOPLE.get(error.code)
        if reason_for_people is None or not event.key.workspace:
            return why
        if not event.author.is_bot and self.is_news(channel_id, f"{WRITE} to {event.author.id}", why):
            asked_in = where if client.get_channel(channel_id) is not None else "the place where you asked"
            await _write_to(client, event.author.id, f"I could not answer you in {asked_in}: {reason_for_people}.")
        return f"{why} ({where})" if self.is_news(channel_id, WRITE, why) else f"it is still as it was in {where}"


def reason(client: discord.Client, channel_id: int, error: discord.HTTPException) -> str:
    """Why Discord refuses to let the bot write in a place, with the permissions that it lacks where they are known."""
    if error.code in (MISSING_ACCESS, MISSING_PERMISSIONS):
        missing = lacking_in(client, channel_id, writing_in(client, channel_id))
        if missing:
            return f"the bot's role lacks {in_words(missing)} there"
    return explain(error)


async def _write_to(client: discord.Client, user_id: str, line: str) -> None:
    """Write a direct message, if they take any."""
    try:
        channel = await client.create_dm(discord.Object(int(user_id)))
        await channel.send(line, allowed_mentions=discord.AllowedMentions.none(), suppress_embeds=True)
    except (ValueError, *FAILURES) as error:
        _log.debug("user %s was not told that their answer could not be posted: %s", user_id, explain(error))
