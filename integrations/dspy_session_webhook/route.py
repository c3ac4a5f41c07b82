"""The way to an endpoint: where it is, which keys it knows, how long it may take."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import datetime

import aiohttp
from aiohttp.abc import AbstractResolver

from dspy_session_webhook.address import Endpoint
from dspy_session_webhook.body import Message
from dspy_session_webhook.deliver import deliver, open_client
from dspy_session_webhook.schedule import Answer
from dspy_session_webhook.signing import Secret


@dataclass(frozen=True, slots=True)
class Route:
    """How to reach the endpoint.

    Args:
        endpoint: Where to post.
        secrets: The keys to sign with.
        timeout: Seconds for one attempt.
        concurrency: Attempts at once, each for another conversation.
        ssl_context: Whom to trust; the usual authorities if None.
    """

    endpoint: Endpoint
    secrets: tuple[Secret, ...]
    timeout: float
    concurrency: int
    ssl_context: ssl.SSLContext | None

    def open_client(self, resolver: AbstractResolver | None = None) -> aiohttp.ClientSession:
        """A client for ``attempt``. ``resolver``: the system, in a thread, if None."""
        return open_client(self.endpoint, timeout=self.timeout, ssl_context=self.ssl_context, resolver=resolver)

    async def attempt(self, client: aiohttp.ClientSession, message: Message, now: datetime) -> Answer:
        """Post ``message``, signed for ``now``; see ``deliver``."""
        return await deliver(client, self.endpoint, self.secrets, message, now=now)
