"""Whether a request is Slack's: its signature is over the very bytes that came, and it is fresh."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping

FRESH = 300
"""Seconds by which the time of a request may be off, either way: what was overheard cannot be sent again for ever."""

SIGNATURE, TIME = "x-slack-signature", "x-slack-request-timestamp"

NOBODYS = f"v0={'0' * 64}"
"""The signature of nobody, by which is seen that a door lets nobody in."""

_WELL_FORMED = re.compile(r"v0=[0-9a-f]{64}")
_SECONDS = re.compile(r"[0-9]{1,12}")


def is_genuine(body: bytes, headers: Mapping[str, str], secret: str, now: float) -> bool:
    """Whether Slack sent this, a moment ago.

    Args:
        body: Exactly what came, not parsed yet.
        headers: Of the request, by name in lower case.
        secret: The app's signing secret.
        now: The time, in seconds since 1970, UTC.
    """
    signature, time = headers.get(SIGNATURE, ""), headers.get(TIME, "")
    if not is_signed(headers) or abs(now - int(time)) > FRESH:
        return False
    # The SDK's verifier takes the bytes for UTF-8, and raises where they are none.
    expected = hmac.new(secret.encode(), b":".join((b"v0", time.encode(), body)), hashlib.sha256).hexdigest()
    return hmac.compare_digest(f"v0={expected}", signature)


def is_signed(headers: Mapping[str, str]) -> bool:
    """Whether a request is signed in the way that Slack signs, whoever did it but ``NOBODYS``.

    Args:
        headers: Of the request, by name in lower case.
    """
    signature, time = headers.get(SIGNATURE, ""), headers.get(TIME, "")
    is_one = _WELL_FORMED.fullmatch(signature) is not None and signature != NOBODYS
    return is_one and _SECONDS.fullmatch(time) is not None
