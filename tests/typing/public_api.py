"""What a type checker must see of the public API. Read by mypy in `make check`, never run."""

from typing import assert_type

from dspy_session.conversation.key import ConversationKey

key = ConversationKey("slack", "T1", "C1", "1700000000.000100")
assert_type(key.workspace, str)
assert_type(key.thread, str | None)
assert_type(ConversationKey.parse(str(key)), ConversationKey)
