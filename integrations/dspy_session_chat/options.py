"""What a bot is given, looked at before anything is begun: a mistake is told at once and in one line."""

from __future__ import annotations

import math
from collections.abc import Sequence

import dspy

from dspy_session.errors import ConfigurationError
from dspy_session_chat.files.attachments import FileLimits
from dspy_session_chat.platform import Platform
from dspy_session_chat.rules.access import Access
from dspy_session_chat.rules.limits import Limits
from dspy_session_chat.rules.manners import Manners

_RULES = (
    ("access", Access, 'Access(allow_users=["U1"])'),
    ("limits", Limits, 'Limits(per_user="20/m")'),
    ("manners", Manners, 'Manners(respond="mention")'),
    ("files", FileLimits, "FileLimits(count=2)"),
)
"""What a bot keeps to: the argument, its type, and how one is made."""


def check_rules(*, access: object, limits: object, manners: object, files: object) -> None:
    """See that what the bot keeps to is of the types that it should be; None stands for what holds anyway.

    Raises:
        ConfigurationError: Something is not.
    """
    given = {"access": access, "limits": limits, "manners": manners, "files": files}
    for name, kind, example in _RULES:
        value = given[name]
        if value is not None and not isinstance(value, kind):
            raise ConfigurationError(f"{name} must be {_a(kind)}, such as {name}={example}; got {_shown(value)}")


def check_model(lm: object) -> None:
    """See that a language model is one; None stands for the one that DSPy is configured with.

    Raises:
        ConfigurationError: It is something else.
    """
    if isinstance(lm, str):
        raise ConfigurationError(f"lm must be a language model, not its name: write lm=dspy.LM({_quoted(lm)})")
    if lm is not None and not isinstance(lm, dspy.BaseLM):
        raise ConfigurationError(f'lm must be a language model, such as lm=dspy.LM("openai/…"); got {_shown(lm)}')


def check_platforms(platforms: object) -> None:
    """See that there are platforms, and that each of them is one.

    Raises:
        ConfigurationError: There is none, or one is something else.
    """
    if isinstance(platforms, str) or not isinstance(platforms, Sequence):
        raise ConfigurationError(f"platforms must be a list, such as platforms=[Slack(...)]; got {_shown(platforms)}")
    if not platforms:
        raise ConfigurationError("the bot has no platform to live on: give platforms=[Slack(...)], for example")
    for each in platforms:
        if isinstance(each, type):
            raise ConfigurationError(f"platforms has the class {each.__name__} in it: make one, {each.__name__}(...)")
        if not isinstance(each, Platform):
            raise ConfigurationError(
                f"platforms has something in it that is no platform: {_shown(each)}. A platform has a name, run and "
                "post; Slack(...) and Discord(...) are some"
            )


def check_seconds(name: str, value: object, *, or_none_at_all: bool = False) -> None:
    """See that a time in seconds is one.

    Args:
        name: The argument.
        value: What was given.
        or_none_at_all: Whether it may be 0.

    Raises:
        ConfigurationError: It is no number, not finite, or too small.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not (is_number and (value > 0 or (or_none_at_all and value == 0))):  # type: ignore[operator]
        least = "0 or more" if or_none_at_all else "more than 0"
        raise ConfigurationError(f"{name} must be a number of seconds, {least}; got {_shown(value)}")


def check_that_it_can_think(agent: dspy.Module, lm: dspy.BaseLM | None) -> None:
    """See that there is a language model for an agent that needs one.

    Args:
        agent: The agent, or a session around it.
        lm: The model of those predictors that have none of their own; what ``dspy.configure`` set if None.

    Raises:
        ConfigurationError: None of its predictors has any.
    """
    predictors = agent.predictors()
    if predictors and not (lm or dspy.settings.lm or any(predictor.lm for predictor in predictors)):
        raise ConfigurationError(
            'the agent has no language model to ask: give the bot lm=dspy.LM("openai/…"), or call dspy.configure(lm=…)'
        )


def _a(kind: type) -> str:
    return f"{'an' if kind.__name__[0] in 'AEIOU' else 'a'} {kind.__name__}"


def _shown(value: object) -> str:
    """A value on one short line."""
    return " ".join(f"{value!r:.80}".split())


def _quoted(name: str) -> str:
    return f'"{_shown(name)[1:-1]}"'
