"""Host names to addresses, without asyncio's pool of threads."""

from __future__ import annotations

import socket

from aiohttp.abc import AbstractResolver, ResolveResult

from dspy_session.threads import arun_in_thread


class ThreadResolver(AbstractResolver):
    """Asks the system, in a thread of its own: a name server that hangs must not fill the pool that others need."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of ``host``. Raises ``OSError`` when there are none."""
        return await arun_in_thread(lambda: _look_up(host, port, family))

    async def close(self) -> None:
        """Nothing is held."""


class BlockingResolver(AbstractResolver):
    """Asks the system, in the thread that asks.

    The usual resolver hands the question to a pool of threads, which takes no more work once a program has come to
    its end: a script's last turn would then never be posted. The loop that this blocks belongs to one webhook, all of
    whose messages go to this very host, so while it waits there is nothing else for it to do.
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of ``host``. Raises ``OSError`` when there are none."""
        return _look_up(host, port, family)

    async def close(self) -> None:
        """Nothing is held."""


def _look_up(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    found = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [
        ResolveResult(
            hostname=host,
            host=str(sockaddr[0]),
            port=int(sockaddr[1]),
            family=kind,
            proto=protocol,
            flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        )
        for kind, _, protocol, _, sockaddr in found
    ]
