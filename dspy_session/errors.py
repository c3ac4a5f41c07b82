"""Every error that the kit raises on purpose. An exception's docstring is its default message."""

from __future__ import annotations


class SessionError(Exception):
    """Something about a session, a conversation or a platform is wrong."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class InvalidKeyError(SessionError, ValueError):
    """A conversation key is not of the form platform:workspace:channel[:thread]."""


class StateFileError(SessionError, ValueError):
    """A saved state cannot be read."""


class UnsupportedValueError(SessionError, TypeError):
    """A value cannot be written to JSON and read back equal."""


class StoreError(SessionError):
    """The store cannot be opened, read or written."""


class StaleJournalError(StoreError):
    """Somebody else wrote to this conversation meanwhile; nothing was written."""


class PlatformError(SessionError):
    """The platform refuses the bot."""


class PlatformUnavailableError(PlatformError):
    """The platform cannot be reached at the moment; the same may work later."""


class ConfigurationError(SessionError, ValueError):
    """The agent, an option or a setting does not fit."""


class StoreBusyError(StoreError):
    """The store cannot write at the moment; nothing was written, and the same may work later."""
