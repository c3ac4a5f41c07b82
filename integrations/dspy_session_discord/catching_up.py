"""After a gap: what people wrote meanwhile is read from the channels' histories and handed over as if it had come."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import discord
from discord.ext import commands

from dspy_session.conversation import ConversationKey, Conversations
from dspy_session.errors import SessionError
from dspy_session_discord.cog import invokes
from dspy_session_discord.gaps import Gaps, id_at, read_from
from dspy_session_discord.hearing import Listeners
from dspy_session_discord.key import PLATFORM
from dspy_session_discord.missed import MOST_MESSAGES, MOST_PLACES, Readable, to_answer, written_in_since
from dspy_session_discord.refusal import UNREACHABLE, explain
from dspy_session_discord.shards import DIRECT, shard_of

_log = logging.getLogger(__name__)

_FAILURES = (discord.DiscordException, *UNREACHABLE)

Take = Callable[[discord.Message], None]
"""Takes a message over as if it had just come."""


class CatchingUp:
    """Reads what was missed whenever a session begins: after a start, and when one could not be resumed.

    Only messages are caught up. Edits, deletions, reactions and commands that were missed leave nothing to read.

    Args:
        client: The client that hears.
        take: Takes the messages over, oldest first in each place; one twice does no harm.
        age: Seconds after which a message is too old to be answered.
        conversations: What the bot has talked about; None where nothing is kept.
        now: The time.
    """

    def __init__(
        self,
        client: discord.Client,
        take: Take,
        age: float,
        conversations: Conversations | None,
        now: Callable[[], datetime],
    ) -> None:
        self._client = client
        self._take = take
        self._age = timedelta(seconds=age)
        self._conversations = conversations
        self._now = now
        self._gaps = Gaps()
        self._direct: OrderedDict[int, None] = OrderedDict()
        self._known_since: datetime | None = None
        self._authors: dict[tuple[int, int], discord.Member | None] = {}
        self._reading: dict[int, asyncio.Task[None]] = {}

    @property
    def listeners(self) -> Listeners:
        """Its ears, by what they hear."""
        if isinstance(self._client, discord.AutoShardedClient):
            return {
                "on_message": self._heard,
                "on_shard_connect": self._gaps.began,
                "on_shard_ready": self._catch_up,
            }
        return {
            "on_message": self._heard,
            "on_connect": lambda: self._gaps.began(DIRECT),
            "on_ready": lambda: self._catch_up(DIRECT),
        }

    def start(self) -> None:
        """Begin with a client that was connected before it was joined."""
        if not self._client.is_ready():
            return
        shards = self._client.shards if isinstance(self._client, discord.AutoShardedClient) else (DIRECT,)
        for shard in shards:
            self._gaps.began(shard)
            self._catch_up(shard)

    async def aclose(self) -> None:
        """Cancel what is under way."""
        tasks = list(self._reading.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- what is known ------------------------------------------------------------------------------------------------

    def _heard(self, message: discord.Message) -> None:
        self._gaps.heard(self._shard_of(message.channel), message.id)
        if message.guild is None and isinstance(message.channel, discord.DMChannel):
            self._direct[message.channel.id] = None
            self._direct.move_to_end(message.channel.id)
            if len(self._direct) > MOST_PLACES:
                self._direct.popitem(last=False)

    def _shard_of(self, channel: object) -> int:
        return shard_of(channel) if isinstance(self._client, discord.AutoShardedClient) else DIRECT

    async def _began_to_hear(self) -> datetime | None:
        """When the bot was there for the first time, as far as is known; None if that is now."""
        before, self._known_since = self._known_since, self._known_since or self._now()
        if before is not None or self._conversations is None:
            return before
        begun = [known.created_at for known in await self._conversations.list(f"{PLATFORM}:")]
        return datetime.fromtimestamp(min(begun), UTC) if begun else None

    # --- reading ------------------------------------------------------------------------------------------------------

    def _catch_up(self, shard: int) -> None:
        if (before := self._reading.get(shard)) is not None:
            before.cancel()
        self._reading[shard] = asyncio.create_task(self._read(shard), name=f"discord-catching-up-{shard}")

    async def _read(self, shard: int) -> None:
        newest, earliest = self._gaps.newest_before(shard), self._now() - self._age
        try:
            after = read_from(newest, None if newest is not None else await self._began_to_hear(), earliest)
            if after is not None:
                if newest is not None and newest < id_at(earliest):
                    _log.info(
                        "What people wrote before %s is too old to be answered", earliest.isoformat("T", "seconds")
                    )
                await self._read_places(shard, after)
        except (SessionError, *_FAILURES) as error:
            _log.warning("What people wrote meanwhile is not known: %s", explain(error))
        except Exception:  # noqa: BLE001 - whatever it is, it must not be tried over and over
            _log.exception("What people wrote meanwhile is not known")
        self._gaps.closed(shard)

    async def _read_places(self, shard: int, after: int) -> None:
        guilds = [guild for guild in self._client.guilds if self._shard_of_guild(guild) == shard]
        places = written_in_since(guilds, after)
        if len(places) > MOST_PLACES:
            _log.warning("What people wrote meanwhile in %d channels is not read", len(places) - MOST_PLACES)
        for place in places[:MOST_PLACES]:
            await self._told(place.id, self._read_place(place, after))
        for channel in await self._direct_ones() if shard == DIRECT and self._hears_direct() else ():
            await self._told(channel, self._read_direct(channel, after))
        self._authors.clear()

    async def _told(self, place: int, reading: Awaitable[int]) -> None:
        try:
            found = await reading
        except _FAILURES as error:
            _log.warning("What people wrote meanwhile in channel %s cannot be read: %s", place, explain(error))
            return
        if found >= MOST_MESSAGES:
            _log.warning("More was written meanwhile in channel %s than is read: %d messages", place, MOST_MESSAGES)

    async def _read_direct(self, channel: int, after: int) -> int:
        place: discord.abc.Messageable | None = self._client.get_channel(channel)  # type: ignore[assignment]
        if not isinstance(place, discord.DMChannel):
            partial = self._client.get_partial_messageable(channel)
            if not [message async for message in partial.history(limit=1, after=discord.Object(after))]:
                return 0
            place = await self._client.fetch_channel(channel)  # type: ignore[assignment]
        return await self._read_place(place, after) if isinstance(place, discord.DMChannel) else 0

    async def _read_place(self, place: Readable | discord.DMChannel, after: int) -> int:
        client, me = self._client, self._client.user
        history = place.history(limit=MOST_MESSAGES, after=discord.Object(after), oldest_first=True)
        messages = [message async for message in history]
        for message in () if me is None else to_answer(messages, me.id):
            if isinstance(client, commands.Bot | commands.AutoShardedBot) and await invokes(client, message):
                continue
            if message.guild is not None and message.webhook_id is None:
                member = await self._member(message.guild, message.author.id)
                message.author = message.author if member is None else member
            self._take(message)
        return len(messages)

    async def _member(self, guild: discord.Guild, user: int) -> discord.Member | None:
        """Who wrote a message, with their roles, which histories do not tell; None where they have left."""
        if (guild.id, user) not in self._authors:
            try:
                self._authors[guild.id, user] = guild.get_member(user) or await guild.fetch_member(user)
            except discord.NotFound:
                self._authors[guild.id, user] = None
        return self._authors[guild.id, user]

    async def _direct_ones(self) -> list[int]:
        """The direct conversations that the bot knows of, the newest first: Discord lists none."""
        found = dict.fromkeys(reversed(self._direct))
        known = () if self._conversations is None else await self._conversations.list(f"{PLATFORM}::")
        for conversation in known:
            channel = ConversationKey.parse(conversation.key).channel
            if channel.isdecimal():
                found[int(channel)] = None
        return list(found)[:MOST_PLACES]

    def _hears_direct(self) -> bool:
        """Whether direct messages come to this process at all."""
        if isinstance(self._client, discord.AutoShardedClient):
            return True  # the shard is asked for besides
        return self._client.shard_id in (None, DIRECT)

    def _shard_of_guild(self, guild: discord.Guild) -> int:
        return guild.shard_id if isinstance(self._client, discord.AutoShardedClient) else DIRECT
