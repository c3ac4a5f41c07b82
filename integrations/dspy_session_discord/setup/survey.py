"""What the bot may do in a server and its channels, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import discord

from dspy_session_chat.finding import Finding
from dspy_session_discord.setup.wanted import CONNECT, SEND, SEND_IN_THREADS, VIEW, Wanted, lacking, listed

MOST_NAMED = 8
"""Channels that are named in one line."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A channel as the bot finds it.

    Args:
        name: What it is called.
        kind: Its kind.
        may: What the bot may do there.
        threads: Whether a mention opens a thread there.
    """

    name: str
    kind: discord.ChannelType
    may: discord.Permissions
    threads: bool = True

    @property
    def lacks(self) -> list[Wanted]:
        """What the bot lacks there."""
        return lacking(self.may, self.kind, threads=self.threads)

    @property
    def is_seen(self) -> bool:
        """Whether the bot sees what is written there."""
        return not {VIEW, CONNECT}.intersection(self.lacks)

    @property
    def is_answered(self) -> bool:
        """Whether the bot can answer there: in a forum, that is in its posts."""
        answers = SEND_IN_THREADS if self.kind in (discord.ChannelType.forum, discord.ChannelType.media) else SEND
        return self.is_seen and answers not in self.lacks


def survey(server: str, may: discord.Permissions, spots: Sequence[Spot], *, threads: bool = True) -> Iterator[Finding]:
    """What there is to say of a server.

    A channel that the bot does not see, or where it may not write, is most often meant so. Where it can talk and lacks
    something all the same, something was forgotten.

    Args:
        server: Its name.
        may: What the bot's roles may in it.
        spots: Its channels.
        threads: Whether a mention opens a thread.
    """
    if may.administrator:
        yield Finding(server, holds=None, says="the bot is an administrator there: that is far more than it needs")
    elif lacks := lacking(may, threads=threads):
        mend = f"In {server}, on the page Server Settings, Roles, choose the bot's role, and switch on {listed(lacks)}."
        yield Finding(server, holds=False, says=f"the bot's role lacks {listed(lacks)}", mend=mend)
    good = [spot for spot in spots if not spot.lacks]
    if good:
        yield Finding(server, holds=True, says=f"the bot has all that it needs in {_named(good)}")
    for spot in spots:
        if spot.is_answered and spot.lacks:
            yield closely(server, spot)
    if read_only := [spot for spot in spots if spot.is_seen and not spot.is_answered]:
        yield Finding(server, holds=None, says=f"it reads, and may not answer, in {_named(read_only)}")
    if unseen := [spot for spot in spots if not spot.is_seen]:
        yield Finding(server, holds=None, says=f"it does not see {_named(unseen)}")
    if not any(spot.is_answered for spot in spots):
        says = "there is no channel where the bot can answer"
        mend = f"In {server}, right-click a channel, Edit Channel, Permissions, and add the bot's role with {_LEAST}."
        yield Finding(server, holds=False, says=says, mend=mend)


def closely(server: str, spot: Spot) -> Finding:
    """What there is to say of a channel where the bot shall talk."""
    what, lacks = f"{server} #{spot.name}", spot.lacks
    if not lacks:
        return Finding(what, holds=True, says="the bot has all that it needs")
    mend = (
        f"In {server}, right-click #{spot.name}, Edit Channel, Permissions, and allow the bot's role {listed(lacks)}."
    )
    return Finding(what, holds=False, says=f"lacks {listed(lacks)}", mend=mend)


_LEAST = listed([VIEW, SEND])


def _named(spots: Sequence[Spot]) -> str:
    if len(spots) == 1:
        return f"#{spots[0].name}"
    named = ", ".join(f"#{spot.name}" for spot in spots[:MOST_NAMED])
    return f"{len(spots)} channels: {named}{', …' if len(spots) > MOST_NAMED else ''}"
