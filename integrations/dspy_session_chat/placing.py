"""Which conversation an event belongs to, as far as that is told by what the bot was told and has said before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from dspy_session.conversation import ConversationKey
from dspy_session.stores import Posts, Store
from dspy_session_chat.action import Action, Deletion, Edit, Event, Press, Reaction
from dspy_session_chat.rules.manners import Manners, may_be_of, scoped
from dspy_session_chat.waiting import Waiting


@dataclass(frozen=True, slots=True)
class Placing:
    """Finds the conversations of events.

    Args:
        store: The bot's store.
        manners: What is one conversation.
        growing: Which conversation a message belongs to that shows a part of an answer, by scope and message id.
    """

    store: Store
    manners: Manners
    growing: Mapping[tuple[str, str], str]

    async def placed(self, platform: str, event: Event) -> Waiting | None:
        """An event with its conversation; None for one about messages that are none of the bot's business.

        Args:
            platform: The name of the platform that it came from, among the bot's.
            event: The event, with the platform's own idea of the conversation.
        """
        waiting = Waiting(platform, scoped(event, self.manners), event.key)
        deed = event.deed if isinstance(event, Action) else None
        if isinstance(deed, Edit | Deletion):
            return await self._about(waiting, deed.message_id)
        if not isinstance(deed, Reaction | Press) or not deed.message_id:
            return waiting
        under = (waiting.scope, deed.message_id)
        growing = self.growing.get(under)  # both before and after, for meanwhile it may come to be whole
        found = await self.store.posted_as(*under) if isinstance(self.store, Posts) else None
        if found is not None:
            return replace(_moved(waiting, found.key), turn=found.turn_id)
        key = growing or self.growing.get(under)
        if key is not None:  # its turn is known once the answer is whole
            return _moved(waiting, key)
        return None if isinstance(deed, Reaction) else waiting

    async def _about(self, waiting: Waiting, message_id: str) -> Waiting | None:
        """A change of a message with its conversation; None where the message never came, as most did not."""
        keys = await self.store.received_in(message_id) if isinstance(self.store, Posts) else ()
        if str(waiting.event.key) in keys:
            return waiting
        if waiting.event.author.id:
            return None
        # Where it is not told who changed it, it is not told either whose conversation that is: the message knows.
        found = [key for key in keys if may_be_of(ConversationKey.parse(key), waiting.place)]
        return _moved(waiting, found[0]) if len(found) == 1 else None


def _moved(waiting: Waiting, key: str) -> Waiting:
    """An event in another conversation."""
    return replace(waiting, event=replace(waiting.event, key=ConversationKey.parse(key)))
