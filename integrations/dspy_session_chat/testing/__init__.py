"""What authors of bots test theirs with, and authors of platforms: people who talk to it, and no network."""

from dspy_session_chat.testing.platform import PlainTesterPlatform, TesterPlatform
from dspy_session_chat.testing.platform_contract import PlatformContract
from dspy_session_chat.testing.seen import Message
from dspy_session_chat.testing.stage import Abilities, Person, Seen, Stage, Where, Written
from dspy_session_chat.testing.tester import Asked, ChatTester, NoAnswerError

__all__ = [
    "Abilities",
    "Asked",
    "ChatTester",
    "Message",
    "NoAnswerError",
    "Person",
    "PlainTesterPlatform",
    "PlatformContract",
    "Seen",
    "Stage",
    "TesterPlatform",
    "Where",
    "Written",
]
