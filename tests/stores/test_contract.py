"""Every store passes the contract that third parties run on theirs."""

from pathlib import Path

import pytest

from dspy_session.stores import MemoryStore, SqliteStore
from dspy_session.testing import StoreContract
from dspy_session.testing.store_contract import MakeStore


class TestMemoryStore(StoreContract):
    durable = False

    @pytest.fixture
    def make_store(self) -> MakeStore:
        return MemoryStore


class TestSqliteStore(StoreContract):
    @pytest.fixture
    def make_store(self, tmp_path: Path) -> MakeStore:
        return lambda: SqliteStore(tmp_path / "chat.db")
