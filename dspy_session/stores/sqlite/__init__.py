"""Conversations in a SQLite file."""

from dspy_session.stores.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
