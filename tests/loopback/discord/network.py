"""Discord's host names on 127.0.0.1, and nothing else: so the real client connects to its real addresses."""

from __future__ import annotations

import socket
import ssl
from functools import cache, cached_property
from pathlib import Path

import trustme
from aiohttp.abc import AbstractResolver, ResolveResult

API = "discord.com"
GATEWAY = "gateway.discord.gg"
RESUME_GATEWAY = "gateway-us-east1-b.discord.gg"
CDN = "cdn.discordapp.com"
MEDIA = "media.discordapp.net"
HOSTS = frozenset({API, GATEWAY, RESUME_GATEWAY, CDN, MEDIA})


class Certificates:
    """A certificate authority of our own, good for Discord's host names."""

    def __init__(self) -> None:
        self._authority = trustme.CA()

    @cached_property
    def server(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._authority.issue_cert(*sorted(HOSTS)).configure_cert(context)
        return context

    def trusted_by(self, file: Path) -> None:
        """Write our authority to ``file``, for the ``SSL_CERT_FILE`` of another process."""
        self._authority.cert_pem.write_to_path(file)

    @cached_property
    def client(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # nobody else is trusted, and no store of others is read
        self._authority.configure_trust(context)
        return context


@cache
def certificates() -> Certificates:
    """Those of this process: to make them takes a fake Discord longer than all else at its start."""
    return Certificates()


class LoopbackResolver(AbstractResolver):
    """Resolves Discord's host names to one port of 127.0.0.1, and refuses every other name."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if host not in HOSTS:
            raise socket.gaierror(socket.EAI_NONAME, f"{host} is not part of the loopback world")
        return [
            ResolveResult(
                hostname=host,
                host="127.0.0.1",
                port=self._port,
                family=socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    async def close(self) -> None:
        pass
