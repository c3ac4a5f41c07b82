"""One attempt to deliver one message: a POST, and what came back of it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from datetime import datetime

import aiohttp
from aiohttp.abc import AbstractResolver

import dspy_session
from dspy_session_webhook.address import Endpoint
from dspy_session_webhook.body import Message
from dspy_session_webhook.resolver import ThreadResolver
from dspy_session_webhook.schedule import Answer
from dspy_session_webhook.signing import Secret, sign

_READ_LIMIT = 16_384
"""Bytes of an answer that are read, so that its connection can be used again; what is longer costs it that."""

READ_SECONDS = 1.0
"""How long that may take: the status has said all, so an endpoint that drips its answer must not stay the next turn."""

_DNS_SECONDS = 60
_USER_AGENT = f"dspy-session-kit/{dspy_session.__version__}"


def open_client(
    endpoint: Endpoint,
    *,
    timeout: float,
    ssl_context: ssl.SSLContext | None,
    resolver: AbstractResolver | None = None,
) -> aiohttp.ClientSession:
    """A client for ``deliver``: it connects to addresses that the endpoint may have, and to no others.

    Args:
        endpoint: Where it will post.
        timeout: Seconds for one attempt, from the connection to the answer's status.
        ssl_context: Whom to trust; the usual authorities if None.
        resolver: Who is asked for the host's addresses; the system, in a thread, if None.
    """
    connector = aiohttp.TCPConnector(
        limit=0,  # whoever claims messages counts them; a second limit here would eat into their timeouts
        resolver=resolver if resolver is not None else ThreadResolver(),
        ttl_dns_cache=_DNS_SECONDS,
        socket_factory=endpoint.open_socket,
        ssl=ssl_context if ssl_context is not None else True,
    )
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=timeout),
        headers={"User-Agent": _USER_AGENT, "Content-Type": "application/json"},
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,  # a proxy from the environment would connect in our stead, to addresses that nobody checked
        auto_decompress=False,
    )


async def deliver(
    client: aiohttp.ClientSession, endpoint: Endpoint, secrets: tuple[Secret, ...], message: Message, *, now: datetime
) -> Answer:
    """Post ``message``, signed for ``now``. Never raises for what the network or the endpoint does.

    Args:
        client: What ``open_client`` made for ``endpoint``.
        endpoint: Where to post.
        secrets: The keys to sign with.
        message: What to post.
        now: The time of this attempt.
    """
    timestamp = int(now.timestamp())
    headers = {
        "webhook-id": message.id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(secrets, message.id, timestamp, message.body),
    }
    try:
        async with client.post(endpoint.url, data=message.body, headers=headers, allow_redirects=False) as response:
            answer = Answer(response.status, response.headers.get("Retry-After"))
            await _read_some(response)
    except Exception as error:  # noqa: BLE001 (whatever one attempt meets, the thread that makes all of them goes on)
        return Answer(None, error=_explain(error))
    return answer


async def _read_some(response: aiohttp.ClientResponse) -> None:
    left = _READ_LIMIT
    with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
        async with asyncio.timeout(READ_SECONDS):
            while left > 0 and (chunk := await response.content.read(left)):
                left -= len(chunk)


def _explain(error: Exception) -> str:
    """Why there was no answer. Most messages of the client hold the URL, and with it the query: they are not shown."""
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "the endpoint's certificate is not trusted"
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.strerror:
        return error.os_error.strerror
    return type(error).__name__
