"""Slack keeps the contract of all platforms, through its real client, over a socket and over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dspy_session_chat.testing import PlatformContract
from dspy_session_chat.testing.addressing_contract import AddressingContract
from dspy_session_chat.testing.asking_contract import AskingContract
from dspy_session_chat.testing.commands_contract import CommandsContract
from dspy_session_chat.testing.feedback_contract import FeedbackContract
from dspy_session_slack import Slack
from tests.loopback.slack import FakeSlack
from tests.slack.door import Door, door_for
from tests.slack.stage import SlackStage
from tests.slack.talk import platform_of


class OverHttp(SlackStage):
    """People in a fake workspace that brings what they do to an address.

    Args:
        slack: The workspace.
        door: The address.
    """

    name = "Slack over HTTP"

    def __init__(self, slack: FakeSlack, door: Door) -> None:
        super().__init__(slack)
        self._here, self._door = slack, door

    def platform(self) -> Slack:
        return self._door.mount(platform_of(self._here, app_token=None, signing_secret=self._here.signing_secret))

    async def connected(self) -> None:
        await self._door.open()


class TestSlack(PlatformContract):
    @pytest.fixture
    def stage(self, slack: FakeSlack, monkeypatch: pytest.MonkeyPatch) -> SlackStage:
        monkeypatch.setattr("dspy_session_slack.platform.EDIT_SECONDS", 0.05)
        return SlackStage(slack)


class TestSlackOverHttp(AddressingContract, AskingContract, CommandsContract, FeedbackContract):
    """Events, presses, modals and commands come in by another way; what becomes of them is the same."""

    @pytest.fixture
    async def stage(self, slack: FakeSlack) -> AsyncIterator[SlackStage]:
        async with door_for(slack) as door:
            yield OverHttp(slack, door)
