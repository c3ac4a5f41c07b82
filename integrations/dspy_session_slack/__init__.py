"""Slack: a DSPy agent in direct messages, channels and threads.

``Slack(bot_token=…, app_token=…)`` is a platform for ``dspy_session_chat.Bot``; ``conversation_key(event)`` tells which
conversation a Slack event belongs to.
"""

from __future__ import annotations

from dspy_session_slack.key import conversation_key
from dspy_session_slack.platform import Slack

__all__ = ["Slack", "conversation_key"]
