"""The link that invites the bot to a server."""

from __future__ import annotations

import discord
from discord.utils import oauth_url

from dspy_session_discord.wanted import invited

SCOPES = ("bot", "applications.commands")
"""A bot, and its slash commands."""


def invite(application_id: int, server: int | None = None) -> str:
    """The address that adds the bot to a server, with the permissions that it needs and no others.

    Args:
        application_id: The bot's application.
        server: The server, if there is to be no choice.
    """
    if server is None:
        return oauth_url(application_id, permissions=invited(), scopes=SCOPES)
    return oauth_url(
        application_id,
        permissions=invited(),
        scopes=SCOPES,
        guild=discord.Object(server),
        disable_guild_select=True,
    )
