"""The port that the page is served on."""

from __future__ import annotations

import errno
import ipaddress
import socket

from dspy_session import ConfigurationError
from dspy_session.errors import PlatformError


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on ``host`` and ``port``; connections wait in it until they are served.

    Args:
        host: An address of this machine's own.
        port: The port; 0 takes a free one.

    Raises:
        ConfigurationError: ``host`` can be reached from other machines, or ``port`` is no port.
        PlatformError: The port cannot be had.
    """
    if not _is_loopback(host):
        raise ConfigurationError(
            f"the playground has no sign-in, so it is served to this machine only: {host!r} is not 127.0.0.1"
        )
    if not 0 <= port <= 65535:
        raise ConfigurationError(f"a port is a number from 0 (any free one) to 65535, not {port}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PlatformError(
                f"port {port} is taken: stop the program that uses it, or choose another port (0 takes a free one)"
            ) from error
        if error.errno == errno.EACCES:
            raise PlatformError(f"port {port} needs more rights than yours: choose one from 1024 up") from error
        raise PlatformError(f"cannot listen on {host}, port {port}: {error.strerror or error}") from error


def address(listening: socket.socket) -> str:
    """The URL of the server behind a listening socket, with a slash at its end."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
