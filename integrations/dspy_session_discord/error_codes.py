"""Discord's error codes that are told apart, with what each of them says."""

from __future__ import annotations

UNKNOWN_CHANNEL = 10003
"""The channel or thread is gone."""

UNKNOWN_MESSAGE = 10008
"""The message is gone."""

UNKNOWN_WEBHOOK = 10015
"""Nobody acknowledged the interaction, or it is over."""

TOO_MANY_COMMANDS_TODAY = 30034
"""Discord takes 200 new commands a day."""

ALREADY_ACKNOWLEDGED = 40060
"""The interaction was acknowledged before."""

TAG_NEEDED = 40067
"""The forum wants a tag for each post."""

MISSING_ACCESS = 50001
"""The bot does not see the place."""

CLOSED_DMS = 50007
"""This person takes no direct messages from the bot."""

MISSING_PERMISSIONS = 50013
"""The bot sees the place, and may not do that there."""

INVALID_TOKEN = 50027
"""The fifteen minutes of an interaction are over."""

THREAD_ARCHIVED = 50083
"""Nothing can be changed in the thread until somebody writes in it."""

NO_REPLY_WITHOUT_HISTORY = 160002
"""Who may not read what was said may not quote it."""

THREAD_EXISTS = 160004
"""A thread has already been opened from this message."""

THREAD_LOCKED = 160005
"""Nobody but a moderator writes in the thread."""

TOO_MANY_THREADS = 160006
"""The server has as many open threads as Discord allows."""
