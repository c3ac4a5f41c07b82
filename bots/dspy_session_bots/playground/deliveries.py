"""What arrives at the local webhook: each delivery, and whether it was signed with our secret."""

from __future__ import annotations

import hmac
import json
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from dspy_session_bots.playground.feed import Feed
from dspy_session_bots.playground.key import thread_of
from dspy_session_webhook.signing import parse_secrets, sign

Verify = Callable[[Mapping[str, str], bytes], bool]
"""Whether the headers of a delivery hold a valid signature of its body."""

KEPT = 200
"""Deliveries that are kept, in memory: they are there to be looked at, the turns themselves are in the store."""

TOLERANCE_SECONDS = 300
"""How far a delivery's timestamp may be from now: what is older may be a recording that somebody plays back."""

LONGEST_UNSIGNED = 2000
"""Characters of an unsigned body that are shown; it is text from anybody, and is never parsed."""


def signed_with(secret: str, *, now: Callable[[], float] = time.time) -> Verify:
    """Verify signatures as Standard Webhooks 1.0.0 wants them.

    Args:
        secret: The signing key, ``whsec_…``, that the ``Webhook`` was given.
        now: Seconds since 1970, UTC.

    Raises:
        ConfigurationError: The secret is malformed.
    """
    secrets = parse_secrets(secret)

    def verify(headers: Mapping[str, str], body: bytes) -> bool:
        try:
            message_id, timestamp = headers["webhook-id"], int(headers["webhook-timestamp"])
            wanted = sign(secrets, message_id, timestamp, body)
        except (KeyError, ValueError):  # a header is missing, the timestamp is no number, the id is not ASCII
            return False
        given = headers.get("webhook-signature", "").encode().split()
        signed = any(hmac.compare_digest(signature, wanted.encode()) for signature in given)
        return signed and abs(now() - timestamp) <= TOLERANCE_SECONDS

    return verify


class Deliveries:
    """The newest deliveries, and the place where more of them arrive.

    Args:
        verify: Checks signatures.
        feed: Told of each delivery.
        now: The time, UTC.
    """

    def __init__(self, verify: Verify, feed: Feed, now: Callable[[], datetime]) -> None:
        self._verify = verify
        self._feed = feed
        self._now = now
        self._kept: deque[tuple[str | None, dict[str, Any]]] = deque(maxlen=KEPT)
        self._number = 0

    def take(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Take a delivery in; False when its signature is not ours, or its body no JSON object."""
        message = _parse(body) if self._verify(headers, body) else None
        signed = message is not None
        self._number += 1
        delivery = {
            "number": self._number,
            "id": headers.get("webhook-id", "")[:200],
            "type": str(message.get("type", "")) if message is not None else "",
            "signed": signed,
            "at": self._now().timestamp(),
            "body": message if message is not None else body[:LONGEST_UNSIGNED].decode(errors="replace"),
        }
        # Whoever did not sign could name any thread, so what was not signed is shown in all of them.
        thread = _thread_in(message) if message is not None else None
        self._kept.append((thread, delivery))
        self._feed.publish("delivery", delivery, thread)
        return signed

    def of(self, thread: str) -> list[dict[str, Any]]:
        """The deliveries that a page with ``thread`` shows, oldest first."""
        return [delivery for at, delivery in self._kept if at is None or at == thread]


def _parse(body: bytes) -> dict[str, Any] | None:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


def _thread_in(message: Mapping[str, Any]) -> str | None:
    data = message.get("data")
    conversation = data.get("conversation") if isinstance(data, dict) else None
    key = conversation.get("key") if isinstance(conversation, dict) else None
    return thread_of(key) if isinstance(key, str) else None
