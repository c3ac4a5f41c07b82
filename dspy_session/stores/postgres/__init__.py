"""A store in PostgreSQL: for several processes on several machines."""

from __future__ import annotations

from dspy_session.errors import ConfigurationError

try:
    import asyncpg  # noqa: F401  # whether it is there is the question
except ImportError as error:
    raise ConfigurationError(
        "PostgreSQL needs asyncpg, which is not installed: pip install 'dspy-session-kit[postgres]'"
    ) from error

from dspy_session.stores.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
