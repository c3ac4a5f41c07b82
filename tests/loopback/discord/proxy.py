"""The way of another process to the fake Discord: a proxy, as a company has one, that knows no other address."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.loopback.discord.network import API, HOSTS
from tests.loopback.discord.server import FakeDiscord


@asynccontextmanager
async def proxied(discord: FakeDiscord, authority: Path) -> AsyncIterator[dict[str, str]]:
    """The environment of a process that finds ``discord`` under Discord's names.

    Args:
        discord: Where it gets to.
        authority: A file, to hold the authority that it trusts.
    """
    discord.certify(authority)
    (there,) = await discord.resolver().resolve(API)

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, target, _ = (await reader.readuntil(b"\r\n\r\n")).decode().split(" ", 2)
        if target.rpartition(":")[0] not in HOSTS:
            writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
            writer.close()
            return
        answers, requests = await asyncio.open_connection(there["host"], there["port"])
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(_pour(reader, requests), _pour(answers, writer))

    async with await asyncio.start_server(tunnel, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()[:2]
        yield {"HTTPS_PROXY": f"http://{host}:{port}", "NO_PROXY": "", "SSL_CERT_FILE": str(authority)}


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
