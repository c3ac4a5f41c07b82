"""Which part of a big bot's servers this process hears."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import discord

from dspy_session.errors import ConfigurationError

DIRECT = 0
"""The shard that direct messages come to."""


@dataclass(frozen=True, slots=True)
class Shards:
    """Some of the connections that a bot's servers are spread over: ``Shards((0, 1), of=4)``.

    A server belongs to the shard ``(id >> 22) % of``; direct messages come to shard 0 alone. Several processes over
    one store have one half of the numbers each, for example, and the same ``of``.

    Args:
        ids: The shards of this process, from 0.
        of: How many there are in all.

    Raises:
        ConfigurationError: There is no such shard, or none is named, or one is named twice.
    """

    ids: Sequence[int]
    of: int

    def __post_init__(self) -> None:
        ids = tuple(self.ids) if isinstance(self.ids, Sequence) and not isinstance(self.ids, str) else ()
        if type(self.of) is not int or self.of < 1:
            raise ConfigurationError(f"of must be how many shards there are in all, 1 or more; got {self.of!r}")
        if not ids or len(set(ids)) < len(ids) or not all(type(one) is int and 0 <= one < self.of for one in ids):
            raise ConfigurationError(
                f"the shards of this process must be numbers from 0 to {self.of - 1}, each once, such as "
                f"Shards((0,), of={self.of}); got {self.ids!r}"
            )


Spread: TypeAlias = Shards | Literal["auto"] | None
"""How servers are spread over connections: over one (None), over as many as Discord recommends, or over these."""


def spread_of(text: str) -> Spread:
    """How servers are spread, as it stands in an environment: ``"auto"``, ``"0,1/4"`` or ``"0-1/4"``.

    Raises:
        ConfigurationError: It is written otherwise, or there are no such shards.
    """
    if text.strip() == "auto":
        return "auto"
    written = re.fullmatch(r"\s*(\d+(?:-\d+)?(?:\s*,\s*\d+(?:-\d+)?)*)\s*/\s*(\d+)\s*", text)
    if written is None:
        raise ConfigurationError(
            f"{text!r:.80} are no shards: write auto, or which of how many, such as 0,1/4 or 0-1/4"
        )
    of = int(written[2])
    ids: list[int] = []
    for part in written[1].split(","):
        first, _, last = part.partition("-")
        ids += range(int(first), min(int(last or first), of) + 1)
    return Shards(ids, of)


def checked_spread(spread: Spread) -> Spread:
    """``spread`` if it is one.

    Raises:
        ConfigurationError: It is none.
    """
    if spread is None or spread == "auto" or isinstance(spread, Shards):
        return spread
    raise ConfigurationError(f'shards must be "auto", Shards((0, 1), of=4) or None; got {spread!r}')


def options_of(spread: Spread) -> dict[str, Any]:
    """``spread`` as ``discord.AutoShardedClient`` takes it."""
    return {"shard_ids": list(spread.ids), "shard_count": spread.of} if isinstance(spread, Shards) else {}


def shard_of(channel: object) -> int:
    """The shard that messages in ``channel`` come to; 0 where there is one connection."""
    guild = getattr(channel, "guild", None)
    return guild.shard_id if isinstance(guild, discord.Guild) else DIRECT
