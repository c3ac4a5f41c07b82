"""The contract of a platform, as tests.

Write a ``Stage`` over a server that only seems to be the platform's, and let the suite play on it::

    class TestMyPlatform(PlatformContract):
        @pytest.fixture
        async def stage(self):
            async with MyFakeServer() as server:
                yield MyStage(server)

Everything besides is real: a ``Bot``, its store in a file, your platform and its client. A test of what cannot be shown
there is skipped and says why. Needs pytest with pytest-asyncio in its auto mode.
"""

from __future__ import annotations

from dspy_session_chat.testing.addressing_contract import AddressingContract
from dspy_session_chat.testing.asking_contract import AskingContract
from dspy_session_chat.testing.busy_contract import BusyContract
from dspy_session_chat.testing.changes_contract import ChangesContract
from dspy_session_chat.testing.commands_contract import CommandsContract
from dspy_session_chat.testing.feedback_contract import FeedbackContract
from dspy_session_chat.testing.forms_contract import FormsContract
from dspy_session_chat.testing.restart_contract import RestartContract
from dspy_session_chat.testing.streaming_contract import StreamingContract


class PlatformContract(
    AddressingContract,
    BusyContract,
    StreamingContract,
    CommandsContract,
    FeedbackContract,
    ChangesContract,
    FormsContract,
    AskingContract,
    RestartContract,
):
    """What people can expect of a bot, whatever the platform."""
