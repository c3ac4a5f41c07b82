"""Logging in: with a token that can be one, and again while Discord cannot be reached."""

from __future__ import annotations

import asyncio
import logging
import re

import discord

from dspy_session.errors import PlatformError, PlatformUnavailableError
from dspy_session_discord.refusal import NO_TOKEN, UNREACHABLE, login_refused, malformed_token, turned_away_for
from dspy_session_discord.transport.pace import pause_after

_log = logging.getLogger(__name__)

_FORM = re.compile(r"[^.]+\.[^.]+\.[^.]+")


def checked(token: str | None) -> str:
    """``token`` without the white space around it.

    Raises:
        PlatformError: There is none, or it cannot be one.
    """
    token = (token or "").strip()
    if not token:
        raise PlatformError(NO_TOKEN)
    if flaw := flaw_of(token):
        raise PlatformError(malformed_token(flaw))
    return token


def flaw_of(token: str) -> str:
    """Why a token cannot be one, as what follows its name in a sentence; empty if it can."""
    if not token.isascii() or not token.isprintable() or " " in token:
        return "holds characters that no token has"
    if not _FORM.fullmatch(token):
        return "is no bot's token: those have three parts, with dots between them"
    return ""


async def log_in(client: discord.Client, token: str) -> None:
    """Log in, so that the API can be used; while Discord cannot be reached that is tried again.

    Raises:
        PlatformError: Discord refuses the token, or cannot be reached by a connector that serves once only.
    """
    given = client.http.connector is not discord.utils.MISSING
    pause = 0.0
    while True:
        try:
            await client.login(token)
        except (discord.LoginFailure, discord.HTTPException, discord.RateLimited, *UNREACHABLE) as error:
            if client.application is not None:  # the bot is in: what went wrong is its owner's setup_hook
                raise
            refused = login_refused(error)
            if not isinstance(refused, PlatformUnavailableError) or not await _can_begin_anew(client, given=given):
                raise refused from None
            pause = max(pause_after(pause, 0.0), turned_away_for(error))
            _log.warning("The bot logs in again in %.0f s: %s", pause, refused)
            await asyncio.sleep(pause)
        else:
            return


async def _can_begin_anew(client: discord.Client, *, given: bool) -> bool:
    """Close what logging in has opened; whether it can be opened anew.

    Args:
        client: The client, which was not let in.
        given: Whether its connector was given to it: discord.py closes that too, and cannot make another one.
    """
    await client.http.close()
    if not given:
        client.http.connector = discord.utils.MISSING
    return not (given and client.http.connector.closed)
