"""Agents of single channels, as the command line names them."""

from __future__ import annotations

from collections.abc import Iterable

import dspy

from dspy_session import ConfigurationError
from dspy_session_bots.agent import load_agent
from dspy_session_bots.target import Target


def channel_agents(given: Iterable[str]) -> dict[str, dspy.Module | str]:
    """Who answers in a channel, or what the agent is told there besides, by channel.

    Args:
        given: ``support=bots.py:support``, or with several words ``support=Answer in German.``

    Raises:
        ConfigurationError: One says neither, its agent cannot be loaded, or a channel is named twice.
    """
    found: dict[str, dspy.Module | str] = {}
    for each in given:
        channel, _, what = (part.strip() for part in each.partition("="))
        if not channel or not what:
            raise ConfigurationError(
                f"--channel {each!r} names no channel and agent: write support=bots.py:support, or what the agent is "
                "told there besides, support='Answer in German.'"
            )
        if channel in found:
            raise ConfigurationError(f"--channel names {channel!r} twice: each channel has one agent")
        is_text = len(what.split()) > 1
        found[channel] = what if is_text else load_agent(Target.parse(what))
    return found
