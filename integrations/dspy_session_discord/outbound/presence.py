"""What stands beneath the bot's name."""

from __future__ import annotations

from typing import Any

import discord

from dspy_session.errors import ConfigurationError

LONGEST = 128
"""Characters of an activity; Discord refuses a session with more."""


def presence(activity: Any) -> discord.CustomActivity | None:
    """``activity`` as the client tells Discord when it identifies; None for none.

    Raises:
        ConfigurationError: It is no text, or too long.
    """
    if activity is None:
        return None
    if not isinstance(activity, str) or not activity.strip() or len(activity) > LONGEST:
        raise ConfigurationError(f"activity must be a text of 1 to {LONGEST} characters, or None; got {activity!r:.99}")
    return discord.CustomActivity(name=activity)
