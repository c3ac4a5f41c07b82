"""The link that invites the bot to a server."""

from __future__ import annotations

from typing import Any

import discord
from discord.utils import oauth_url

from dspy_session_discord.setup.wanted import invited

SCOPES = ("bot", "applications.commands")
"""A bot, and its slash commands."""

TO_A_SERVER = 0
"""Discord asks who is to have the app, a server or a person, unless the link says so."""


def invite(application_id: int, server: int | None = None, *, threads: bool = True) -> str:
    """The address that adds the bot to a server, with the permissions that it needs and no others.

    Args:
        application_id: The bot's application.
        server: The server, if there is to be no choice.
        threads: Whether a mention opens a thread.
    """
    guild: dict[str, Any] = {} if server is None else {"guild": discord.Object(server), "disable_guild_select": True}
    address = oauth_url(application_id, permissions=invited(threads=threads), scopes=SCOPES, **guild)
    return f"{address}&integration_type={TO_A_SERVER}"
