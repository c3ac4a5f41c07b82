"""What people and metrics say of a turn, and what becomes of it. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

Signal = Literal["retried", "undone", "resent"]
"""What people do who are not content, without saying so: ask for another answer, take the turn back, or change their
words and send them again. A weak sign, and no score."""


@dataclass(frozen=True, slots=True)
class Feedback:
    """Something that was said of a turn, or a signal.

    Args:
        score: What the turn is worth; None for what was taken back, and for a signal.
        by: Who says so: the platform's id of a user, or the name of a metric; empty when nobody is known.
        text: Their words about it.
        source: How it was said: ``"reaction"``, ``"button"``, ``"metric"``.
        at: When, UTC; None if unknown.
        signal: What was done instead of saying anything; None for a score.
    """

    score: float | None = None
    by: str = ""
    text: str = ""
    source: str = ""
    at: datetime.datetime | None = None
    signal: Signal | None = None


def standing(said: Iterable[Feedback]) -> tuple[Feedback, ...]:
    """What stands of all that was said, in order: everybody's last word, less what was taken back, and every signal.

    Whoever takes a score back and gives no name takes back everybody's.
    """
    last: dict[object, Feedback] = {}
    for place, each in enumerate(said):
        if each.score is None and each.signal is None and not each.by:
            last = {who: other for who, other in last.items() if other.signal is not None}
        who: object = place if each.signal is not None else each.by
        last.pop(who, None)
        if each.score is not None or each.signal is not None:
            last[who] = each
    return tuple(last.values())


def score_of(feedback: Iterable[Feedback]) -> float | None:
    """The mean of the scores; None when there is none."""
    scores = [each.score for each in feedback if each.score is not None]
    return fmean(scores) if scores else None
