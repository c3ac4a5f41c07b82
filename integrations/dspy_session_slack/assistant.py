"""What people find when they open the bot in Slack's view for agents: a greeting, and what they may ask."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from dspy_session.errors import ConfigurationError
from dspy_session_chat.markup.cleaning import clean_line

MOST_PROMPTS = 4
"""Prompts that Slack shows at once."""

TITLE = 75
"""Characters of a prompt that are shown before it is clicked."""

Prompt: TypeAlias = str | tuple[str, str]
"""What people may ask by a click: the words, or what stands on the button and the words."""


@dataclass(frozen=True, slots=True)
class Opening:
    """Somebody opens the bot.

    Args:
        user: Slack's id of them.
        viewing: The name of the channel that they look at; empty if unknown.
    """

    user: str
    viewing: str = ""


Prompts: TypeAlias = Callable[[Opening], Awaitable[Sequence[Prompt]]]
"""Tells what to suggest to somebody; it may ask the agent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assistant:
    """What people find when they open the bot.

    Args:
        greeting: What they are greeted with; empty for nothing.
        prompts: What they may ask by a click, four at most; or an ``async`` function of an ``Opening`` that tells.
        thinking: What stands beside the bot's name while it is at work.

    Raises:
        ConfigurationError: There are too many prompts, or one that says nothing.
    """

    greeting: str = ""
    prompts: Sequence[Prompt] | Prompts = ()
    thinking: str = "is thinking…"

    def __post_init__(self) -> None:
        if isinstance(self.prompts, str) or not (callable(self.prompts) or isinstance(self.prompts, Sequence)):
            raise ConfigurationError(f"prompts must be a list of texts, or a function; got {self.prompts!r:.80}")
        if not callable(self.prompts):
            checked(self.prompts)

    async def suggested(self, opening: Opening) -> list[dict[str, str]]:
        """The prompts for somebody, as Slack takes them.

        Raises:
            ConfigurationError: The function told what Slack does not take.
        """
        return checked(await self.prompts(opening) if callable(self.prompts) else self.prompts)


def checked(prompts: Sequence[Prompt]) -> list[dict[str, str]]:
    """Prompts as Slack takes them.

    Raises:
        ConfigurationError: There are too many, or one is none.
    """
    if len(prompts) > MOST_PROMPTS:
        raise ConfigurationError(f"Slack shows {MOST_PROMPTS} prompts at most; got {len(prompts)}")
    found = []
    for prompt in prompts:
        title, message = (prompt, prompt) if isinstance(prompt, str) else _pair(prompt)
        if not (title.strip() and message.strip()):
            raise ConfigurationError(f"a prompt must say something; got {prompt!r}")
        found.append({"title": clean_line(title, TITLE), "message": message})
    return found


def _pair(prompt: object) -> tuple[str, str]:
    match prompt:
        case (str(title), str(message)):
            return title, message
    raise ConfigurationError(f"a prompt must be a text, or two: what is shown and what is asked; got {prompt!r:.80}")
