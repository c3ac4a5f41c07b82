"""Many conversations over one session."""

from dspy_session.conversation.conversations import Conversations, TakenTurn, TurnRequest
from dspy_session.conversation.key import ConversationKey
from dspy_session.conversation.protocols import Sink, TurnEvent

__all__ = [
    "ConversationKey",
    "Conversations",
    "Sink",
    "TakenTurn",
    "TurnEvent",
    "TurnRequest",
]
