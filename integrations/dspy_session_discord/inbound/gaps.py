"""From when on a connection may have missed what people wrote."""

from __future__ import annotations

from datetime import datetime, timedelta

import discord

SLACK = timedelta(seconds=5)
"""Messages do not come quite in the order of their ids. To read one twice does no harm."""


class Gaps:
    """Knows the newest message that each shard heard, and which shards have not caught up since.

    A session that is resumed misses nothing: Discord sends what came meanwhile. A session that is begun anew is told
    only of what comes from then on.
    """

    def __init__(self) -> None:
        self._first: dict[int, int] = {}
        self._newest: dict[int, int] = {}
        self._open: dict[int, int | None] = {}
        self._again: set[int] = set()

    def heard(self, shard: int, message_id: int) -> None:
        """A message came."""
        self._first.setdefault(shard, message_id)
        self._newest[shard] = max(message_id, self._newest.get(shard, 0))

    def began(self, shard: int) -> None:
        """A session began. What comes from now on says nothing of what came before, which may still be missing."""
        if shard in self._open:
            self._again.add(shard)
        self._open.setdefault(shard, self._newest.get(shard))

    def newest_before(self, shard: int) -> int | None:
        """The newest message that was heard before the gap; None where none was."""
        return self._open.get(shard)

    def first_before(self, shard: int) -> int | None:
        """The first message that was heard in a gap that a session was lost in once more; None where there is none."""
        return self._first.get(shard) if shard in self._again else None

    def closed(self, shard: int) -> None:
        """What was missed has been read."""
        self._open.pop(shard, None)
        self._again.discard(shard)


def id_at(time: datetime) -> int:
    """The lowest id of a message that was written at ``time`` or later."""
    return discord.utils.time_snowflake(time)


def read_from(newest: int | None, known_since: datetime | None, earliest: datetime) -> int | None:
    """The id after which messages are read; None where nothing can have been missed.

    Args:
        newest: The newest message that was heard before the gap, if any was.
        known_since: When the bot began to hear at all, where no message is known; None if it has only just begun.
        earliest: What was written before that is left alone.
    """
    if newest is not None:
        return max(id_at(earliest), newest - (id_at(earliest + SLACK) - id_at(earliest)))
    return None if known_since is None else id_at(max(earliest, known_since))
