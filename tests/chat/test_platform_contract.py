"""The platform in memory keeps the contract of all platforms."""

from __future__ import annotations

import pytest

from dspy_session_chat.testing import PlatformContract
from tests.chat.memory_stage import MemoryStage


class TestTesterPlatform(PlatformContract):
    @pytest.fixture
    def stage(self) -> MemoryStage:
        return MemoryStage()
