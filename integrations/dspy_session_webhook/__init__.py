"""Posts every turn to a URL of yours, signed as Standard Webhooks."""

from dspy_session_webhook.sink import Webhook

__all__ = ["Webhook"]
