"""What the database says, in one line for people, and whether it may say otherwise in a moment."""

from __future__ import annotations

import socket

import asyncpg

from dspy_session.errors import StoreBusyError, StoreError
from dspy_session.stores.postgres.address import Address

FAILURES: tuple[type[Exception], ...] = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
    UnicodeEncodeError,
)
"""What the database, the connection or asyncpg may raise at our work."""
_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.InternalClientError,  # the server said farewell while asyncpg expected nothing of it
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    ConnectionError,
    TimeoutError,
)
_UNREACHABLE = (OSError, asyncpg.CannotConnectNowError)
_PASSING = (
    *_LOST,
    *_UNREACHABLE,
    asyncpg.TooManyConnectionsError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
    asyncpg.InvalidCachedStatementError,  # a newer process changed the tables
)


def is_lost(error: BaseException) -> bool:
    """True when the connection is gone, so that nobody knows whether the last thing asked was done."""
    # asyncpg has one class for a closed connection and for its own misuse; DataError, a bad value, is one more of them.
    closed = isinstance(error, asyncpg.InterfaceError) and "closed" in str(error)
    return isinstance(error, _LOST) or closed


def is_passing(error: BaseException) -> bool:
    """True when the same may work in a moment: nothing is wrong with what was asked."""
    return isinstance(error, _PASSING) or is_lost(error)


_AWAY = "{where} cannot be reached ({said}): see that the server runs, and check host and port in the URL"
# The first that fits. InvalidAuthorizationSpecificationError is what a wrong password is as well.
_SAYINGS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    (
        asyncpg.InvalidAuthorizationSpecificationError,
        "{where} does not let us in ({said}): check the user and the password in the URL",
    ),
    (
        asyncpg.InvalidCatalogNameError,
        "{where} does not exist: create the database, or name another one in the URL",
    ),
    (
        asyncpg.InsufficientPrivilegeError,
        "{where}: {said}: create the schema {schema} and grant the user USAGE and CREATE on it",
    ),
    (asyncpg.ReadOnlySQLTransactionError, "{where} is read-only: name the primary server, not a replica"),
    (asyncpg.DiskFullError, "{where} cannot grow ({said}): make room on the server's disk"),
    (
        (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError, asyncpg.InvalidSchemaNameError),
        "{where} lacks what this version needs ({said}): restart, which makes the tables",
    ),
    (
        (asyncpg.DuplicateTableError, asyncpg.DuplicateObjectError),
        "{where}: another program's tables are in the schema {schema} ({said}): name another schema with ?schema=NAME",
    ),
    (
        asyncpg.TooManyConnectionsError,
        "{where} takes no more connections: raise max_connections, or let fewer processes connect",
    ),
    (socket.gaierror, "{where}: this host has no address ({said}): check the host in the URL"),
    (TimeoutError, "{where} did not answer in time: see that the server runs and can be reached"),
    (UnicodeEncodeError, "a text that is no valid Unicode cannot be kept: it holds half of a surrogate pair"),
    (asyncpg.CharacterNotInRepertoireError, "a text with a NUL character cannot be kept in PostgreSQL"),
)


def explained(address: Address, error: BaseException) -> StoreError:
    """One line that says what is wrong and how to mend it. Never holds the password, nor what was to be written."""
    said = (str(error).splitlines() or [type(error).__name__])[0]  # what follows may show values
    otherwise = _AWAY if is_lost(error) or isinstance(error, _UNREACHABLE) else "{where}: {said}"
    saying = next((saying for kinds, saying in _SAYINGS if isinstance(error, kinds)), otherwise)
    what = saying.format(where=address.name, said=said, schema=address.schema)
    return StoreBusyError(what) if is_passing(error) else StoreError(what)
