"""Your agent in Discord."""

from dspy_session_discord.key import conversation_key
from dspy_session_discord.platform import Discord
from dspy_session_discord.transport.shards import Shards

__all__ = ["Discord", "Shards", "conversation_key"]
