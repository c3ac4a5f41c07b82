"""A web server of our own, for those who have none to mount the front door in."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.http import HttpProcessingError

from dspy_session.errors import ConfigurationError

GRACE = 2.0
"""Seconds that requests under way have for their answers when we stop."""

EVERYWHERE = "0.0.0.0"  # noqa: S104  # Slack comes from outside

HIGHEST = 65_535


class _Reticent(logging.Filter):
    """Says of what is no HTTP that it came; aiohttp quotes what was sent, with a traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], HttpProcessingError):
            record.exc_info = record.exc_text = None
            record.msg = "A request from %s was refused that is no HTTP"
            record.levelno, record.levelname = logging.INFO, logging.getLevelName(logging.INFO)
            return _server.isEnabledFor(logging.INFO)
        return True


_server = logging.getLogger(f"{__name__}.server")
_server.addFilter(_Reticent())


def place_of(listen: str) -> tuple[str, int]:
    """The host and the port that ``"127.0.0.1:3000"``, ``":3000"`` or ``"[::1]:3000"`` names.

    Raises:
        ConfigurationError: It names none.
    """
    host, colon, port = listen.strip().rpartition(":")
    if not (port.isascii() and port.isdecimal()) or int(port[:6]) > HIGHEST or (not colon and host):
        raise ConfigurationError(f"{listen!r} is no place to listen at: give HOST:PORT or :PORT, like 127.0.0.1:3000")
    return host.removeprefix("[").removesuffix("]") or EVERYWHERE, int(port)


def _reason(error: OSError) -> str:
    """Why nobody can listen somewhere, and what to do."""
    number = error.errno or 0  # what asyncio says of one repeats the place
    said = os.strerror(number).lower() if number > 0 else error.strerror or type(error).__name__
    is_the_port = number in (errno.EADDRINUSE, errno.EACCES)
    return f"{said}; {'choose another port' if is_the_port else 'name an address of this machine'}"


@asynccontextmanager
async def listening(routes: Iterable[web.RouteDef], host: str, port: int) -> AsyncIterator[str]:
    """Serve ``routes`` for as long as the block runs; its address.

    Raises:
        ConfigurationError: Nobody can listen there.
    """
    application = web.Application()
    application.add_routes(routes)
    runner = web.AppRunner(application, access_log=None, logger=_server, shutdown_timeout=GRACE, auto_decompress=False)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise ConfigurationError(f"nobody can listen at {host}:{port}: {_reason(error)}") from None
        yield "{}:{}".format(*runner.addresses[0][:2])
    finally:
        await asyncio.shield(runner.cleanup())
