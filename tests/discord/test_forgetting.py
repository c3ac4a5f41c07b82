"""What people delete in Discord, which does not tell who deleted it, is forgotten whosever conversation it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dspy_session_chat import Manners
from dspy_session_chat.testing.scene import playing
from dspy_session_chat.testing.scripted import Parrot
from tests.discord.conftest import Place
from tests.discord.stage import DiscordStage
from tests.loopback.discord import FakeDiscord


@pytest.mark.parametrize("scope", ["user", "user-in-channel", "channel"])
async def test_what_is_deleted_is_forgotten(fake: FakeDiscord, place: Place, tmp_path: Path, scope: Any) -> None:
    stage = DiscordStage(fake, place)
    async with playing(stage, Parrot(), tmp_path, manners=Manners(scope=scope)) as scene:
        thread = await scene.begin("milk")
        written = await scene.say("tea", thread)
        await scene.reads("tea (1 before)", thread)
        await stage.delete(written)
        await scene.remembers(lambda turns: [turn.inputs["message"] for turn in turns] == ["milk"])
