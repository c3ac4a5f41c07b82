"""The client that calls Slack's Web API for the bot."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import copy

from aiohttp import ClientSession, ClientTimeout
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler, AsyncServerErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient

RETRIES = 3
"""How often a call is tried again that is rate-limited, or that an outage of Slack refused."""


def web_client(given: AsyncWebClient | None, token: str | None) -> AsyncWebClient:
    """A client of our own, with everything that ``given`` was set up with (proxy, address, TLS, retries, …).

    Args:
        given: The caller's client, which stays as it is.
        token: The bot token; None keeps the one of ``given``.
    """
    client = AsyncWebClient() if given is None else copy(given)
    if token is not None:
        client.token = token
    # The SDK's default is to try again when the connection breaks, and only then.
    client.retry_handlers = [
        *client.retry_handlers,
        *(
            handler(max_retry_count=RETRIES)
            for handler in (AsyncRateLimitErrorRetryHandler, AsyncServerErrorRetryHandler)
            if not any(isinstance(there, handler) for there in client.retry_handlers)
        ),
    ]
    return client


def hasty(client: AsyncWebClient) -> AsyncWebClient:
    """A client like ``client`` that does not wait where Slack wants fewer calls, but says so."""
    hasty = copy(client)
    hasty.retry_handlers = [
        handler for handler in client.retry_handlers if not isinstance(handler, AsyncRateLimitErrorRetryHandler)
    ]
    return hasty


@asynccontextmanager
async def keeping_connections(client: AsyncWebClient) -> AsyncIterator[None]:
    """Let the calls of ``client`` share their connections; without a session it opens a new one for every call."""
    if client.session is not None:
        yield
        return
    timeout = ClientTimeout(total=client.timeout)
    async with ClientSession(timeout=timeout, trust_env=client.trust_env_in_session) as session:
        client.session = session
        try:
            yield
        finally:
            client.session = None
