"""Messages that are to be answered together: each counts for whoever wrote it, and who may ask no more is told so."""

from __future__ import annotations

import json

from dspy_session.conversation.runtime import Job
from dspy_session.stores import Settled
from dspy_session_chat.beside import Together
from dspy_session_chat.means import Means
from dspy_session_chat.reply import Reply
from dspy_session_chat.rules.gate import Refused
from dspy_session_chat.waiting import Waiting


class LettingIn:
    """Lets messages in, or turns them away.

    Args:
        means: What the bot works with.
    """

    def __init__(self, means: Means) -> None:
        self._means = means

    async def let_in(
        self, waiting: Waiting, job: Job, found: Together, beside: list[Waiting], counted: set[str]
    ) -> list[Waiting] | None:
        """Count messages that are to be answered together, each for whoever wrote it, and turn away who may not ask.

        One that is alone is counted with what its turn needs, all or nothing.

        Args:
            waiting: The message that was taken up.
            job: The conversation.
            found: The messages.
            beside: What waits.
            counted: The ids of messages that are counted already, to be added to.

        Returns:
            What waits and was not turned away; None when that was the message that was taken up.
        """
        if len(found.messages) == 1:
            return beside
        means, refused = self._means, set[str]()
        for message in found.messages:
            if message.event_id in counted:
                continue
            decided = await means.gate.count(message)
            if not isinstance(decided, Refused):
                counted.add(message.event_id)
            elif message.event_id == waiting.event.event_id:
                await self.refuse(waiting, job, decided, shown=job.work.shown)
                return None
            else:
                refused.add(message.event_id)
                each = next(one for one in beside if one.event.event_id == message.event_id)
                reply = Reply(decided.news, private=True) if decided.news else None
                await means.poster.answer_beside(each, job, reply)
        return [each for each in beside if each.event.event_id not in refused]

    async def refuse(
        self,
        waiting: Waiting,
        job: Job,
        refused: Refused,
        *,
        also: tuple[str, ...] = (),
        shown: tuple[str, ...] = (),
    ) -> None:
        """Settle a message that is not answered, and tell whoever wrote it, if that is news.

        Args:
            waiting: The message.
            job: The conversation.
            refused: Why it is not answered.
            also: Ids of further events that are done with it.
            shown: The platform's ids of the messages that show something of an answer already.
        """
        # Where something of an answer stands already it must not stay as it is.
        line = refused.line if shown else refused.news
        reply = json.dumps(Reply(line, private=True).to_json()) if line else ""
        settled = Settled(waiting.event.event_id, reply, received=True, shown=shown)
        await (await job.changing(settled, also=also)).settle()
        await self._means.poster.post(waiting, job, reply, shown)
