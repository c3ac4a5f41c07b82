"""What becomes of what people say of answers, by reactions and by buttons."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from dspy_session import SessionError
from dspy_session.conversation.runtime import Job
from dspy_session.errors import StoreError
from dspy_session.feedback import Feedback
from dspy_session.stores import Posts, Settled
from dspy_session_chat.action import Action, Press, Reaction
from dspy_session_chat.looking import pending
from dspy_session_chat.means import Means
from dspy_session_chat.ratings import said_by
from dspy_session_chat.waiting import Waiting

logger = logging.getLogger(__name__)


class Opinions:
    """Takes down what people say of answers.

    Args:
        means: What the bot works with.
    """

    def __init__(self, means: Means) -> None:
        self._means = means

    async def press(self, waiting: Waiting, action: Action, press: Press, score: float, job: Job) -> None:
        """A button that is worth a score was pressed; once more, and it takes back what it said.

        Args:
            waiting: The event.
            action: The same.
            press: What was pressed, and what was written with it: with words it says it better.
            score: What the button is worth.
            job: The conversation.
        """
        turn_id = waiting.turn or press.about
        taken_back = await self._given(turn_id, action, job) == score and not press.text
        said = Feedback(None if taken_back else score, action.user, press.text, "button")
        await self._rate(waiting, turn_id, said, job)

    async def reaction(self, waiting: Waiting, action: Action, reaction: Reaction, job: Job) -> None:
        """A reaction was put there or taken away: it is one with those that have come since, and if nothing has changed
        after all of them, nothing is written down.
        """
        store, ratings = self._means.conversations.store, self._means.ratings
        if not waiting.turn and isinstance(store, Posts):  # the answer was still growing when it came
            found = await store.posted_as(waiting.scope, reaction.message_id)
            waiting = replace(waiting, turn="" if found is None else found.turn_id)
        since = await self._since(waiting, reaction, job)
        also = [each for each, _ in since]
        given = await self._given(waiting.turn, action, job)
        score = ratings.after(given, [reaction, *(deed for _, deed in since)])
        if score == given:
            await self._means.poster.settle(waiting, job, also=also)
        else:
            said = Feedback(score, action.user, "", "reaction")
            await self._rate(waiting, waiting.turn, said, job, also=also)

    async def _since(self, waiting: Waiting, reaction: Reaction, job: Job) -> list[tuple[str, Reaction]]:
        """The same user's further reactions to the same answer that wait, with the ids of their events: up to a button
        that they have pressed, which counts in its own order.
        """
        found: list[tuple[str, Reaction]] = []
        after = False
        for each in await pending(self._means, job, waiting):
            event = each.event
            if event.event_id == waiting.event.event_id:
                after = True
            elif after and isinstance(event, Action) and event.user == waiting.event.user:
                deed = event.deed
                if isinstance(deed, Press) and self._means.ratings.of_press(deed) is not None:
                    break
                if isinstance(deed, Reaction) and (each.scope, deed.message_id) == (waiting.scope, reaction.message_id):
                    found.append((event.event_id, deed))
        return found

    async def _given(self, turn_id: str, action: Action, job: Job) -> float | None:
        try:
            _, turn = await (await job.changing()).find(turn_id)
        except StoreError:
            raise
        except SessionError:
            return None
        return said_by(turn, action.user)

    async def _rate(
        self, waiting: Waiting, turn_id: str, said: Feedback, job: Job, *, also: Sequence[str] = ()
    ) -> None:
        settled = Settled(waiting.event.event_id, received=True)
        try:
            if self._means.access.denial(waiting.event) is None:
                changing = await job.changing(settled, also=also)
                await changing.score(turn_id, said.score, by=said.by, text=said.text, source=said.source)
                return
        except StoreError:
            raise
        except SessionError as error:  # the turn was taken back, or forgotten
            logger.info("A rating in %s is of no account: %s", job.hold.key, error)
        await self._means.poster.settle(waiting, job, also=also)
