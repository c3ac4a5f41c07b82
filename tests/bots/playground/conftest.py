"""One browser for all tests of the page: to start it takes longer than most of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.bots.playground import chromium


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where it is reached; whoever asks for it is skipped where there is none."""
    with chromium.browser(tmp_path_factory.mktemp("browser")) as url:
        yield url
