"""Slack: a DSPy agent in direct messages, channels and threads.

``Slack(bot_token=…, app_token=…)`` is a platform for ``dspy_session_chat.Bot``, ``Assistant(…)`` what people find in
Slack's view for agents; ``conversation_key(event)`` tells which conversation a Slack event belongs to.
"""

from __future__ import annotations

from dspy_session_slack.assistant import Assistant, Opening
from dspy_session_slack.key import conversation_key
from dspy_session_slack.oauth import OAuth
from dspy_session_slack.platform import Slack

__all__ = ["Assistant", "OAuth", "Opening", "Slack", "conversation_key"]
