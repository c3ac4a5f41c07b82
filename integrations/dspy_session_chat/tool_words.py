"""What people read while the agent uses a tool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dspy

from dspy_session_chat.approval import asks_first


class ToolWords(dspy.streaming.StatusMessageProvider):  # type: ignore[misc]  # DSPy leaves it untyped
    """Says which tool is used, and nothing of what it is called with: that may be somebody's secret.

    Args:
        words: What is said for a tool, by its name: ``{"search": "Searching the web…"}``.
    """

    def __init__(self, words: Mapping[str, str]) -> None:
        self._words = words

    def tool_start_status_message(self, instance: Any, inputs: dict[str, Any]) -> str:
        """A tool begins."""
        name = str(instance.name)
        when = " once that is approved" if asks_first(instance.func) else ""
        return self._words.get(name) or f"Using {name.replace('_', ' ')}{when}…"

    def tool_end_status_message(self, outputs: Any) -> str | None:
        """A tool ended; what comes next says itself."""
        return None
