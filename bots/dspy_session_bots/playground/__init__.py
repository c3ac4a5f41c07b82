"""A page on this machine to talk to an agent, and to watch what it remembers."""

from dspy_session_bots.playground.deliveries import Verify, signed_with
from dspy_session_bots.playground.platform import Playground

__all__ = ["Playground", "Verify", "signed_with"]
