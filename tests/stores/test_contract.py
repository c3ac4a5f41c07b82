"""Both stores of this package that need no server keep the contracts."""

from __future__ import annotations

import pytest

from dspy_session.stores import MemoryStore, SqliteStore
from dspy_session.testing import (
    InboxContract,
    LeaseContract,
    LedgerContract,
    OutboxContract,
    PostsContract,
    StoreContract,
    VaultContract,
)

pytestmark = pytest.mark.unwatched  # with encryption around them, they run once more


class TestMemoryStore(
    StoreContract, LeaseContract, InboxContract, PostsContract, OutboxContract, LedgerContract, VaultContract
):
    durable = False

    @pytest.fixture
    def make_store(self):
        return MemoryStore


class TestSqliteStore(
    StoreContract, LeaseContract, InboxContract, PostsContract, OutboxContract, LedgerContract, VaultContract
):
    @pytest.fixture
    def make_store(self, tmp_path):
        return lambda: SqliteStore(tmp_path / "chat.db")
