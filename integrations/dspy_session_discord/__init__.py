"""Your agent in Discord."""

from dspy_session_discord.key import conversation_key
from dspy_session_discord.platform import Discord

__all__ = ["Discord", "conversation_key"]
