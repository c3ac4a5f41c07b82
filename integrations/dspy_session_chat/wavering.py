"""How often one may change one's mind: each time it is written down and told to whoever listens, or answered anew."""

from __future__ import annotations

import logging
from collections.abc import Callable

from cachetools import LRUCache

from dspy_session_chat.action import Action, Edit, Press, Reaction
from dspy_session_chat.ratings import Ratings
from dspy_session_chat.waiting import Waiting

logger = logging.getLogger(__name__)

MOST_A_DAY = 20
"""Ratings by one user under one message in a day, and changes of one message; more is play, and could fill a store."""
REMEMBERED = 10_000
"""Users and messages that are counted at once."""
DAY_SECONDS = 86_400.0


class Wavering:
    """Counts how often people rate one answer, or change one message.

    Each process counts for itself: this is a bound, and no budget.

    Args:
        ratings: What is a rating.
        clock: Seconds since 1970, UTC.
    """

    def __init__(self, ratings: Ratings, clock: Callable[[], float]) -> None:
        self._ratings = ratings
        self._clock = clock
        self._counts: LRUCache[tuple[str, str, int], int] = LRUCache(REMEMBERED)

    def is_over(self, waiting: Waiting) -> bool:
        """Count an event; True for a rating or a change that is one too many, and is to be left out."""
        event = waiting.event
        deed = event.deed if isinstance(event, Action) else None
        if isinstance(deed, Edit):
            under, did = deed.message_id, "changed a message"
        elif isinstance(deed, Press | Reaction) and self._ratings.is_rating(deed):
            under, did = deed.message_id or waiting.turn, "rated an answer"
        else:
            return False
        which = (event.user, f"{waiting.scope} {under}", int(self._clock() // DAY_SECONDS))
        count = self._counts[which] = self._counts.get(which, 0) + 1
        if count == MOST_A_DAY + 1:
            logger.warning(
                "%s has %s in %s %d times today: what else they say of it is left out",
                event.user,
                did,
                event.key,
                MOST_A_DAY,
            )
        return count > MOST_A_DAY
