"""Signatures as Standard Webhooks 1.0.0 wants them: HMAC-SHA256 over ``id.timestamp.body``."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field

from dspy_session.errors import ConfigurationError

_PREFIX = "whsec_"
_MIN_BYTES, _MAX_BYTES = 24, 64
_EXPECTED = f"{_PREFIX} followed by {_MIN_BYTES} to {_MAX_BYTES} random bytes in base64"


@dataclass(frozen=True, slots=True)
class Secret:
    """A signing key that both ends share; never printed."""

    key: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: object) -> Secret:
        """The secret that ``text`` spells; base64's trailing ``=`` may be missing.

        Raises:
            ConfigurationError: ``text`` is no secret. The message never holds any of it.
        """
        if not isinstance(text, str) or not text.startswith(_PREFIX):
            raise ConfigurationError(f"the webhook's secret must be {_EXPECTED}; this one does not begin so")
        encoded = text.removeprefix(_PREFIX)
        try:
            key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
        except (binascii.Error, ValueError):
            raise ConfigurationError(
                f"the webhook's secret must be {_EXPECTED}; what follows {_PREFIX} is not base64"
            ) from None
        if not _MIN_BYTES <= len(key) <= _MAX_BYTES:
            raise ConfigurationError(f"the webhook's secret must be {_EXPECTED}; this one holds {len(key)}")
        return cls(key)


def parse_secrets(secret: str | Iterable[str]) -> tuple[Secret, ...]:
    """One secret, or several while keys are rotated (the order does not matter to a receiver).

    Raises:
        ConfigurationError: There is none, or one of them is malformed.
    """
    texts = [secret] if isinstance(secret, str) else list(secret or ())
    if not any(texts):
        raise ConfigurationError(f"a webhook needs a secret: {_EXPECTED}")
    return tuple(Secret.parse(text) for text in texts)


def sign(secrets: Iterable[Secret], message_id: str, timestamp: int, body: bytes) -> str:
    """The ``webhook-signature`` header: one signature per secret, so that a receiver with any of them verifies.

    Args:
        secrets: The keys to sign with.
        message_id: The ``webhook-id`` header, the same over retries.
        timestamp: The ``webhook-timestamp`` header of this attempt, whole seconds since 1970 UTC.
        body: The bytes that are posted.
    """
    signed = b"%s.%d.%s" % (message_id.encode("ascii"), timestamp, body)
    digests = (hmac.digest(secret.key, signed, hashlib.sha256) for secret in secrets)
    return " ".join(f"v1,{base64.b64encode(digest).decode('ascii')}" for digest in digests)
