"""Slack keeps the contract of all platforms, through its real client."""

from __future__ import annotations

import pytest

from dspy_session_chat.testing import PlatformContract
from tests.loopback.slack import FakeSlack
from tests.slack.stage import SlackStage


class TestSlack(PlatformContract):
    @pytest.fixture
    def stage(self, slack: FakeSlack) -> SlackStage:
        return SlackStage(slack)
