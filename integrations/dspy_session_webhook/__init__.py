"""Posts what happens in conversations to a URL of yours, signed as Standard Webhooks."""

from dspy_session_webhook.body import load_schema
from dspy_session_webhook.sink import Webhook

__all__ = ["Webhook", "load_schema"]
