"""What authors of bots test theirs with: people who talk to it, and no network."""

from dspy_session_chat.testing.platform import PlainTesterPlatform, TesterPlatform
from dspy_session_chat.testing.seen import Message
from dspy_session_chat.testing.tester import Asked, ChatTester, NoAnswerError

__all__ = ["Asked", "ChatTester", "Message", "NoAnswerError", "PlainTesterPlatform", "TesterPlatform"]
