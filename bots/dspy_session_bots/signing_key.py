"""Keys that webhooks are signed with."""

from __future__ import annotations

import base64
import secrets

BYTES = 32


def new_signing_key() -> str:
    """A fresh key, ``whsec_…``, for both ends of a webhook."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(BYTES)).decode('ascii')}"
