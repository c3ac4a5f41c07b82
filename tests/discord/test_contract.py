"""Discord keeps the contract of all platforms, through its real client."""

from __future__ import annotations

import pytest

from dspy_session_chat.testing import PlatformContract
from tests.discord.conftest import Place
from tests.discord.stage import DiscordStage
from tests.loopback.discord import FakeDiscord


class TestDiscord(PlatformContract):
    @pytest.fixture
    def stage(self, fake: FakeDiscord, place: Place, monkeypatch: pytest.MonkeyPatch) -> DiscordStage:
        monkeypatch.setattr("dspy_session_discord.platform.EDIT_SECONDS", 0.05)
        return DiscordStage(fake, place)
