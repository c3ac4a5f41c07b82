"""Slack's requests to an app: signed, as JSON or as a form, with what it says of a retry."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

from tests.loopback.slack.socket_mode import Ack, Delivery

SECRET = "0123456789abcdef0123456789abcdef"
"""The app's signing secret."""


def signed(body: bytes, at: float, secret: str = SECRET) -> dict[str, str]:
    """The headers by which a request is known to be Slack's."""
    seconds = str(int(at))
    signature = hmac.new(secret.encode(), b":".join([b"v0", seconds.encode(), body]), hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": seconds, "X-Slack-Signature": f"v0={signature}"}


def encoded(delivery: Delivery) -> tuple[bytes, str]:
    """What Slack sends of something that happened, and what it says that this is."""
    if delivery.kind == "events_api":
        return json.dumps(delivery.body).encode(), "application/json"
    if delivery.kind == "slash_commands":
        return urlencode(delivery.body).encode(), "application/x-www-form-urlencoded"
    return urlencode({"payload": json.dumps(delivery.body)}).encode(), "application/x-www-form-urlencoded"


@dataclass
class HttpMode:
    """Brings what happens to the address of an app.

    Args:
        url: The address, ``/slack/events``.
        ack_timeout: Seconds that the app has for an answer.
        now: Seconds since 1970, for the signature.
        statuses: What the app answered, in order.
        seconds: How long it took for each of its answers.
    """

    url: str
    ack_timeout: float = 3.0
    now: Callable[[], float] = time.time
    statuses: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    session: ClientSession | None = None

    async def carry(self, delivery: Delivery, envelope_id: str, attempt: int, reason: str) -> tuple[str, Ack | None]:
        """Bring it there once: why it did not arrive, or the app's acknowledgement."""
        body, kind = encoded(delivery)
        headers = {"Content-Type": kind, "User-Agent": "Slackbot 1.0", **signed(body, self.now())}
        if attempt:
            headers |= {"X-Slack-Retry-Num": str(attempt), "X-Slack-Retry-Reason": reason}
        started = time.perf_counter()
        try:
            status, answer = await self.request(body, headers)
        except TimeoutError:
            return "http_timeout", None
        except (ClientError, OSError):
            return "connection_failed", None
        self.statuses.append(status)
        self.seconds.append(time.perf_counter() - started)
        if status != 200:
            return "http_error", None
        return "", Ack(envelope_id, json.loads(answer) if answer.startswith("{") else None)

    async def request(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
        """Any request to the app's address: the status and the text of the answer."""
        if self.session is None:
            timeout = ClientTimeout(total=self.ack_timeout)
            self.session = ClientSession(timeout=timeout, connector=TCPConnector(limit=0))
        async with self.session.post(self.url, data=body, headers=headers, allow_redirects=False) as answer:
            return answer.status, await answer.text()

    async def aclose(self) -> None:
        if self.session is not None:
            await self.session.close()
