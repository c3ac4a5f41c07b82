"""What is posted: the frozen bytes of one message, or of several in one request."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from dspy_session.conversation import envelope
from dspy_session.conversation.envelope import TURN, VERSION, with_id

BATCH = "batch"
"""The type of a request that holds several messages."""


@dataclass(frozen=True, slots=True)
class Message:
    """What one request posts: made once, signed and sent as often as it takes.

    Args:
        id: The ``webhook-id``: the same for every attempt.
        lane: The conversation within which messages keep their order.
        body: The bytes that are posted.
    """

    id: str
    lane: str
    body: bytes = field(repr=False)


def request(lane: str, told: Sequence[tuple[str, bytes]], *, batched: bool) -> Message:
    """What to post to tell some messages of one conversation.

    Args:
        lane: The conversation.
        told: The id and the body of each message, in order; exactly one unless ``batched``.
        batched: Whether the receiver is told of several at once, and so of one alone in the same form.
    """
    if not batched:
        [(message_id, body)] = told
        return Message(message_id, lane, body)
    # The id of these very messages in this very order: a repetition has it too, unless more have come meanwhile.
    digest = hashlib.sha256("\n".join(message_id for message_id, _ in told).encode()).hexdigest()[:32]
    timestamp = json.loads(told[-1][1])["timestamp"]
    head = f'{{"type":"{BATCH}","timestamp":"{timestamp}","data":{{"version":{VERSION},"messages":['
    messages = b",".join(with_id(message_id, body) for message_id, body in told)
    return Message(f"{BATCH}_{digest}", lane, head.encode() + messages + b"]}}")


def load_schema(message_type: str = TURN) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a message type's bodies: that of an event, or ``"batch"``.

    Raises:
        ConfigurationError: There is no such type.
    """
    if message_type != BATCH:
        return envelope.load_schema(message_type)
    schema = files("dspy_session_webhook").joinpath("schemas", f"{BATCH}.v{VERSION}.json")
    loaded: dict[str, Any] = json.loads(schema.read_text(encoding="utf-8"))
    return loaded
