from __future__ import annotations

import pytest

from dspy_session_bots.keeping import shown


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite:///bot.db", "sqlite:///bot.db"),
        ("memory://", "memory://"),
        ("postgresql://bot:hunter2@db:5432/chat?schema=x&password=hunter2", "postgresql://db:5432/chat"),
        ("postgresql://bot:hunt@er2@db/chat", "postgresql://db/chat"),
        ("postgresql:///chat", "postgresql:///chat"),
        ("postgresql://db", "postgresql://db"),
    ],
)
def test_a_password_is_not_shown(url: str, said: str) -> None:
    assert shown(url) == said
