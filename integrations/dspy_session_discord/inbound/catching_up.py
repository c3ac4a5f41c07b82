"""After a gap: what people wrote meanwhile is read from the channels' histories and handed over as if it had come."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

import discord

from dspy_session.conversation import ConversationKey, Conversations
from dspy_session.errors import SessionError
from dspy_session.stores import ConversationInfo
from dspy_session_discord.inbound.gaps import Gaps, id_at, read_from
from dspy_session_discord.inbound.hearing import Listeners
from dspy_session_discord.inbound.histories import Histories, Take
from dspy_session_discord.inbound.missed import MOST_MESSAGES, MOST_PLACES, Readable, read_in, written_in_since
from dspy_session_discord.key import PLATFORM
from dspy_session_discord.refusal import FAILURES, explain
from dspy_session_discord.transport.shards import DIRECT, shard_of

_log = logging.getLogger(__name__)


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
        self._late: dict[int, tuple[int, Sequence[ConversationInfo] | None]] = {}
        self._reading: dict[int, asyncio.Task[None]] = {}  # by shard, or by server

    @property
    def listeners(self) -> Listeners:
        """Its ears, by what they hear."""
        if isinstance(self._client, discord.AutoShardedClient):
            return {
                "on_message": self._heard,
                "on_guild_available": self._came_late,
                "on_shard_connect": self._gaps.began,
                "on_shard_ready": self._catch_up,
            }
        return {
            "on_message": self._heard,
            "on_guild_available": self._came_late,
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

    def _began_to_hear(self, known: Sequence[ConversationInfo]) -> datetime | None:
        """When the bot was there for the first time, as far as is known; None if that is now."""
        before, self._known_since = self._known_since, self._known_since or self._now()
        begun = [conversation.created_at for conversation in known]
        return datetime.fromtimestamp(min(begun), UTC) if before is None and begun else before

    async def _known(self, prefix: str) -> Sequence[ConversationInfo]:
        return () if self._conversations is None else await self._conversations.list(f"{PLATFORM}:{prefix}")

    # --- reading ------------------------------------------------------------------------------------------------------

    def _catch_up(self, shard: int) -> None:
        if (before := self._reading.get(shard)) is not None:
            before.cancel()
        self._reading[shard] = asyncio.create_task(self._read(shard), name=f"discord-catching-up-{shard}")

    async def _read(self, shard: int) -> None:
        newest, earliest = self._gaps.newest_before(shard), self._now() - self._age
        try:
            known = await self._known("") if newest is None else None
            after = read_from(newest, None if known is None else self._began_to_hear(known), earliest)
            first = self._gaps.first_before(shard)
            if after is None and first is not None:  # the session was lost right at the first start of all
                after, known = max(id_at(earliest), first), None
            if newest is not None and newest < id_at(earliest):
                _log.info("What people wrote before %s is too old to be answered", f"{earliest:%d %B %H:%M} UTC")
            if after is not None:
                await self._read_places(shard, after, known)
            self._gaps.closed(shard)
        except (SessionError, *FAILURES) as error:
            _log.warning("What people wrote meanwhile is not known: %s", explain(error))
        except Exception:  # noqa: BLE001 - whatever it is, people go on writing
            _log.exception("What people wrote meanwhile is not known")

    async def _read_places(self, shard: int, after: int, known: Sequence[ConversationInfo] | None) -> None:
        """Read what was written after the id ``after``; what is kept is ``known`` at a start alone."""
        guilds = [guild for guild in self._client.guilds if self._is_of(shard, guild)]
        # discord.py does not wait for servers that come late.
        self._late |= {guild.id: (after, known) for guild in guilds if guild.unavailable}
        await self._read_guilds(guilds, after, known)
        histories = Histories(self._client, self._take, MOST_MESSAGES)
        for channel in await self._direct_ones() if shard == DIRECT and self._hears_direct() else ():
            await self._told(channel, self._read_direct(histories, channel, after, known))

    async def _read_guilds(
        self, guilds: Sequence[discord.Guild], after: int, known: Sequence[ConversationInfo] | None
    ) -> None:
        histories, places = Histories(self._client, self._take, MOST_MESSAGES), written_in_since(guilds, after)
        if len(places) > MOST_PLACES:
            _log.warning("What people wrote meanwhile in %d channels is not read", len(places) - MOST_PLACES)
        for place in places[:MOST_PLACES]:
            await self._told(place.id, self._read_place(histories, place, after, known))

    def _came_late(self, guild: discord.Guild) -> None:
        late = self._late.pop(guild.id, None)
        if late is not None:
            reading = asyncio.create_task(self._read_guilds([guild], *late), name=f"discord-catching-up-{guild.id}")
            self._reading[guild.id] = reading

    async def _told(self, place: int, reading: Awaitable[int]) -> None:
        try:
            found = await reading
        except FAILURES as error:
            _log.warning("What people wrote meanwhile in channel %s cannot be read: %s", place, explain(error))
            return
        if found >= MOST_MESSAGES:
            _log.warning("More was written meanwhile in channel %s than is read: %d messages", place, MOST_MESSAGES)

    async def _read_direct(
        self, histories: Histories, channel: int, after: int, known: Sequence[ConversationInfo] | None
    ) -> int:
        place = await histories.direct(channel, after)
        return 0 if place is None else await self._read_place(histories, place, after, known)

    async def _read_place(
        self,
        histories: Histories,
        place: Readable | discord.DMChannel,
        after: int,
        known: Sequence[ConversationInfo] | None,
    ) -> int:
        me = self._client.user
        if me is None:
            return 0
        begun = after if known is None else read_in(place, after, known, me.id)
        return 0 if begun is None else await histories.read(place, begun, me.id)

    async def _direct_ones(self) -> list[int]:
        """The direct conversations that the bot knows of, the newest first: Discord lists none."""
        found = dict.fromkeys(reversed(self._direct))
        for conversation in await self._known(":"):
            channel = ConversationKey.parse(conversation.key).channel
            if channel.isdecimal():
                found[int(channel)] = None
        return list(found)[:MOST_PLACES]

    def _hears_direct(self) -> bool:
        """Whether direct messages come to this process at all."""
        return isinstance(self._client, discord.AutoShardedClient) or self._client.shard_id in (None, DIRECT)

    def _is_of(self, shard: int, guild: discord.Guild) -> bool:
        return not isinstance(self._client, discord.AutoShardedClient) or guild.shard_id == shard
