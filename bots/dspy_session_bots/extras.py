"""What an extra brings, and what to say where it is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dspy_session import ConfigurationError
from dspy_session_bots.install import pip_install


@contextmanager
def needs_extra(extra: str, option: str) -> Iterator[None]:
    """Import inside what ``extra`` brings.

    Args:
        extra: The extra's name.
        option: What the user asked for that needs it.

    Raises:
        ConfigurationError: It is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = str(error.name).partition(".")[0]
        raise ConfigurationError(f"{option} needs {missing}, which is not installed: {pip_install(extra)}") from None
