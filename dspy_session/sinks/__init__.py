"""Sinks that need nothing but Python: a file of lines, a function of yours."""

from dspy_session.sinks.callback import Callback
from dspy_session.sinks.json_lines import JsonLines

__all__ = ["Callback", "JsonLines"]
