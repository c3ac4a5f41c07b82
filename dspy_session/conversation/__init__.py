"""Many conversations over one session."""

from dspy_session.conversation.conversations import Conversations
from dspy_session.conversation.key import ConversationKey
from dspy_session.conversation.protocols import ChangeEvent, ConversationEvent, DurableSink, Sink, TurnEvent
from dspy_session.conversation.taking import TakenTurn, TurnRequest

__all__ = [
    "ChangeEvent",
    "ConversationEvent",
    "ConversationKey",
    "Conversations",
    "DurableSink",
    "Sink",
    "TakenTurn",
    "TurnEvent",
    "TurnRequest",
]
