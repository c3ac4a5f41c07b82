"""Slack keeps the contract of all platforms, through its real client, over a socket and over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dspy_session_chat.testing import PlatformContract
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


@pytest.fixture(autouse=True)
def _quick_edits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dspy_session_slack.platform.EDIT_SECONDS", 0.05)


class TestSlack(PlatformContract):
    @pytest.fixture
    def stage(self, slack: FakeSlack) -> SlackStage:
        return SlackStage(slack)


class TestSlackOverHttp(PlatformContract):
    @pytest.fixture
    async def stage(self, slack: FakeSlack) -> AsyncIterator[SlackStage]:
        async with door_for(slack) as door:
            yield OverHttp(slack, door)
