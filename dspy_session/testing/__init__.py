"""Contract suites: what a store of your own must do, as tests to run against it."""

from dspy_session.testing.store_contract import StoreContract

__all__ = ["StoreContract"]
