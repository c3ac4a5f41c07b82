"""Many conversations over one session."""

from dspy_session.conversation.conversations import Conversations, TakenTurn, TurnRequest
from dspy_session.conversation.key import ConversationKey
from dspy_session.conversation.protocols import ConversationInfo, Entry, Sink, Store, TurnEvent

__all__ = [
    "ConversationInfo",
    "ConversationKey",
    "Conversations",
    "Entry",
    "Sink",
    "Store",
    "TakenTurn",
    "TurnEvent",
    "TurnRequest",
]
