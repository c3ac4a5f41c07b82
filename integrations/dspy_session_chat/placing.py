"""Which conversation an event belongs to, as far as that is told by what the bot was told and has said before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from dspy_session.conversation import ConversationKey
from dspy_session.stores import PostedTurn, Posts, Store
from dspy_session_chat.action import Deletion, Edit, Event, Press, Reaction
from dspy_session_chat.inbound import Inbound
from dspy_session_chat.rules.manners import Manners, is_chained, may_be_of, scoped
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
        if isinstance(event, Inbound):
            return await self._replying(waiting, event, event.replies_to or "")
        deed = event.deed
        if isinstance(deed, Edit | Deletion):
            return await self._about(waiting, deed.message_id)
        if not isinstance(deed, Reaction | Press) or not deed.message_id:
            return waiting
        found = await self._answer(waiting.scope, deed.message_id)
        if found is not None:
            return replace(_moved(waiting, found.key), turn=found.turn_id)
        return None if isinstance(deed, Reaction) else waiting

    async def _answer(self, scope: str, message_id: str) -> PostedTurn | None:
        """What a message of the bot's is the answer of; its turn is known once the answer is whole."""
        under = (scope, message_id)
        growing = self.growing.get(under)  # both before and after, for meanwhile it may come to be whole
        found = await self.store.posted_as(*under) if isinstance(self.store, Posts) else None
        if found is not None:
            return found
        key = growing or self.growing.get(under)
        return None if key is None else PostedTurn(key, "")

    async def _replying(self, waiting: Waiting, message: Inbound, replies_to: str) -> Waiting | None:
        """A message, in the conversation of the one that it replies to where that is what makes a conversation."""
        if not replies_to or not is_chained(message, self.manners):
            return waiting
        answer = await self._answer(waiting.scope, replies_to)
        if answer is not None:
            told = replace(message, addressed="thread") if message.addressed == "ambient" else message
            return _moved(replace(waiting, event=told), answer.key)
        if message.addressed == "ambient":  # people reply to one another
            return waiting if self.manners.responds(message) == "always" else None
        found = await self._received(waiting, replies_to)
        return waiting if found is None else _moved(waiting, found)

    async def _about(self, waiting: Waiting, message_id: str) -> Waiting | None:
        """A change of a message with its conversation; None where the message never came, as most did not."""
        keys = await self.store.received_in(message_id) if isinstance(self.store, Posts) else ()
        if str(waiting.event.key) in keys:
            return waiting
        if waiting.event.author.id and self.manners.scope != "reply-chain":
            return None
        # Neither who changed it need be told, and so whose conversation it is, nor which chain of replies it is in.
        found = _only(keys, waiting.place)
        return None if found is None else _moved(waiting, found)

    async def _received(self, waiting: Waiting, message_id: str) -> str | None:
        """The conversation that a message of somebody's came to."""
        keys = await self.store.received_in(message_id) if isinstance(self.store, Posts) else ()
        return _only(keys, waiting.place)


def _only(keys: Iterable[str], place: ConversationKey) -> str | None:
    """The only one of some conversations that something said in a place can belong to."""
    found = [key for key in keys if may_be_of(ConversationKey.parse(key), place)]
    return found[0] if len(found) == 1 else None


def _moved(waiting: Waiting, key: str) -> Waiting:
    """An event in another conversation."""
    return replace(waiting, event=replace(waiting.event, key=ConversationKey.parse(key), place=waiting.place))
