"""A town for every test that asks for one; all bots are forked from one process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.faults.harness import Harness, Zygote


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    zygote = Zygote()
    yield zygote
    zygote.close()


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store of either kind."""
    return str(tmp_path / "bot.db") if request.param == "sqlite" else str(request.getfixturevalue("postgres_url"))


@pytest.fixture
async def town(zygote: Zygote, store: str, tmp_path: Path) -> AsyncIterator[Harness]:
    """A town over a store of either kind; over SQLite, one bot at a time."""
    async with Harness(zygote, store, tmp_path).listening() as harness:
        yield harness


@pytest.fixture
async def city(zygote: Zygote, postgres_url: str, tmp_path: Path) -> AsyncIterator[Harness]:
    """A town over PostgreSQL, for several bots at once."""
    async with Harness(zygote, postgres_url, tmp_path).listening() as harness:
        yield harness


@pytest.fixture
async def village(zygote: Zygote, tmp_path: Path) -> AsyncIterator[Harness]:
    """A town over a SQLite file."""
    async with Harness(zygote, str(tmp_path / "bot.db"), tmp_path).listening() as harness:
        yield harness
