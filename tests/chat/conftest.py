"""What holds for every test of the chat."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the bot tries again it tries at once."""
    monkeypatch.setattr("dspy_session.conversation.runtime.LONGEST_PAUSE", 0.01)
