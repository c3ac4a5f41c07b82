"""What a streamed turn says while tools and modules work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dspy
from dspy.utils.callback import BaseCallback

STATUS_PROVIDER = "dspy_session_status_provider"
"""Name of the DSPy setting that holds the provider of sessions that have none of their own."""


class Status(BaseCallback):
    """Says what a provider says.

    DSPy's own callback does the same by way of an event loop, which it has to start in a thread where one runs already.

    Args:
        provider: Finds the words.
        say: Called with each message, from any thread.
    """

    def __init__(
        self,
        provider: dspy.streaming.StatusMessageProvider,
        say: Callable[[dspy.streaming.StatusMessage], None],
    ) -> None:
        self._provider = provider
        self._say_message = say

    def _say(self, words: str | None) -> None:
        if words:
            self._say_message(dspy.streaming.StatusMessage(words))

    def on_tool_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """A tool begins; the ``finish`` of a ReAct is none."""
        if instance.name != "finish":
            self._say(self._provider.tool_start_status_message(instance, inputs))

    def on_tool_end(self, call_id: str, outputs: Any, exception: BaseException | None = None) -> None:
        """A tool ended; ``Completed.`` is what the ``finish`` of a ReAct returns."""
        if outputs != "Completed.":
            self._say(self._provider.tool_end_status_message(outputs))

    def on_module_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """A module begins."""
        self._say(self._provider.module_start_status_message(instance, inputs))

    def on_module_end(self, call_id: str, outputs: Any, exception: BaseException | None = None) -> None:
        """A module ended."""
        self._say(self._provider.module_end_status_message(outputs))

    def on_lm_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """A language model is asked."""
        self._say(self._provider.lm_start_status_message(instance, inputs))

    def on_lm_end(self, call_id: str, outputs: Any, exception: BaseException | None = None) -> None:
        """A language model answered."""
        self._say(self._provider.lm_end_status_message(outputs))
