"""What people say of an answer without a word: reactions and buttons, as scores."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from dspy_session import Turn
from dspy_session.errors import ConfigurationError
from dspy_session_chat.action import Deed, Press, Reaction
from dspy_session_chat.reply import Button

GOOD, BAD = "good", "bad"
"""The actions of the two buttons."""
SCORES: Mapping[str, float] = MappingProxyType({"👍": 1.0, "👎": 0.0})
"""What reactions are worth unless the bot's owner says otherwise."""
_VARIATION = "\ufe0f"


class Ratings:
    """What reactions and buttons are worth.

    Args:
        scores: By emoji, or by the name of one of the platform's own. The buttons are worth what 👍 and 👎 are.

    Raises:
        ConfigurationError: A score is no number.
    """

    def __init__(self, scores: Mapping[str, float] = SCORES) -> None:
        for emoji, score in scores.items():
            if not isinstance(score, int | float) or isinstance(score, bool) or not math.isfinite(score):
                raise ConfigurationError(f"the score of {emoji} must be a number; got {score!r}")
        self._scores = {_plain(emoji): float(score) for emoji, score in scores.items()}

    def of_reaction(self, reaction: Reaction) -> float | None:
        """What a reaction is worth; None for one that says nothing."""
        return self._scores.get(_plain(reaction.emoji))

    def of_press(self, press: Press) -> float | None:
        """What a button is worth; None for one that rates nothing."""
        emoji = {GOOD: "👍", BAD: "👎"}.get(press.button)
        return None if emoji is None else self._scores.get(emoji, SCORES[emoji])

    def is_rating(self, deed: Deed) -> bool:
        """Whether somebody says by it what an answer is worth, or takes that back."""
        if isinstance(deed, Reaction):
            return self.of_reaction(deed) is not None
        return isinstance(deed, Press) and self.of_press(deed) is not None

    def after(self, given: float | None, reactions: Iterable[Reaction]) -> float | None:
        """What a user has said of an answer once they have put reactions there, or taken them away.

        Args:
            given: What they had said before; None for nothing.
            reactions: The reactions, in order.
        """
        for reaction in reactions:
            score = self.of_reaction(reaction)
            if reaction.added and score is not None:
                given = score
            elif not reaction.added and given == score:  # else they have said something else since
                given = None
        return given

    def buttons(self, turn_id: str) -> tuple[Button, Button]:
        """The two buttons under an answer."""
        return (
            Button(GOOD, "👍", turn_id),
            Button(BAD, "👎", turn_id, asks="What should have been different?"),
        )


def said_by(turn: Turn, user: str) -> float | None:
    """The score that a user has given to a turn; None when there is none."""
    return next((each.score for each in turn.feedback if each.by == user and each.score is not None), None)


def _plain(emoji: str) -> str:
    return emoji.replace(_VARIATION, "")
