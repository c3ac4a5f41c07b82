"""Who did something in Discord."""

from __future__ import annotations

from collections.abc import Iterator

import discord

from dspy_session_chat.inbound import Author

UNKNOWN = Author("", "")
"""Whoever it was, Discord does not tell."""


def author_of(user: discord.abc.User, *, is_bot: bool = False) -> Author:
    """``user`` by the name that people see, with the roles that discord.py knows of.

    Args:
        user: Who it is; roles are known of members of a server.
        is_bot: True where something else than the user tells that it is none of the people (a webhook).
    """
    return Author(str(user.id), user.display_name, is_bot=user.bot or is_bot, roles=tuple(_roles(user)))


def _roles(user: discord.abc.User) -> Iterator[str]:
    # Of a server that Discord has not told of yet, or has lost for a while, discord.py knows none.
    if isinstance(user, discord.Member) and user.guild is not None:
        # Everybody has the role that stands for everybody.
        yield from (str(role.id) for role in user.roles if not role.is_default())
