"""Contract suites for stores and sinks of your own."""

from dspy_session.testing.inbox_contract import InboxContract, PostsContract
from dspy_session.testing.lease_contract import LeaseContract
from dspy_session.testing.ledger_contract import LedgerContract
from dspy_session.testing.outbox_contract import OutboxContract
from dspy_session.testing.sink_contract import SinkContract
from dspy_session.testing.store_contract import StoreContract
from dspy_session.testing.vault_contract import VaultContract

__all__ = [
    "InboxContract",
    "LeaseContract",
    "LedgerContract",
    "OutboxContract",
    "PostsContract",
    "SinkContract",
    "StoreContract",
    "VaultContract",
]
