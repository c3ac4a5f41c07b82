"""The playground keeps the contract of all platforms, over its real server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dspy_session_chat.testing import PlatformContract
from tests.bots.playground.stage import PlaygroundStage, playground_stage


class TestPlayground(PlatformContract):
    @pytest.fixture
    async def stage(self) -> AsyncIterator[PlaygroundStage]:
        async with playground_stage() as stage:
            yield stage
