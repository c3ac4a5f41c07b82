"""What is posted: the frozen bytes of one turn."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any
from urllib.parse import quote

from dspy_session.conversation.key import ConversationKey
from dspy_session.conversation.protocols import TurnEvent
from dspy_session.errors import InvalidKeyError, UnsupportedValueError

TURN = "conversation.turn"
"""The type of the message that a committed turn makes."""

VERSION = 1
"""The version of ``data``; it rises when a receiver that follows the schema would have to change."""

Encode = Callable[[Any], Any]
"""Turns a value into JSON values; raises ``UnsupportedValueError`` for one that has no such form."""


@dataclass(frozen=True, slots=True)
class Message:
    """A turn, ready to be posted: made once, signed and sent as often as it takes.

    Args:
        id: The ``webhook-id``: the same for every attempt, made from the turn's id.
        lane: The conversation within which messages keep their order.
        body: The bytes that are posted.
        omitted: Fields of the turn that had no JSON form and were left out (``"outputs.table"``).
    """

    id: str
    lane: str
    body: bytes = field(repr=False)
    omitted: tuple[str, ...] = ()


def turn_message(event: TurnEvent, encode: Encode) -> Message:
    """The message that tells ``event``; the same event always makes the same bytes.

    Args:
        event: A committed turn.
        encode: Turns the values of the turn's inputs and outputs into JSON.
    """
    turn = event.turn
    omitted: list[str] = []
    data = {
        "version": VERSION,
        "conversation": _conversation(event.key),
        "turn_id": turn.id,
        "index": turn.index,
        "author": {"id": event.author, "name": event.author_name} if event.author or event.author_name else None,
        "inputs": _encode_fields("inputs", turn.inputs, encode, omitted),
        "outputs": _encode_fields("outputs", turn.outputs, encode, omitted),
        "omitted": omitted,
        "score": turn.score if turn.score is not None and math.isfinite(turn.score) else None,
        "model": event.model or None,
        "created_at": _iso(turn.created_at) if turn.created_at is not None else None,
    }
    envelope = {"type": TURN, "timestamp": _iso(event.occurred_at), "data": data}
    text = json.dumps(envelope, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # A lone surrogate has no UTF-8; its backslash escape happens to be JSON's own.
    return Message(message_id(turn.id), event.key, text.encode("utf-8", errors="backslashreplace"), tuple(omitted))


def message_id(turn_id: str) -> str:
    """The ``webhook-id`` of a turn: readable, safe in a header, without the dot that joins the signed parts."""
    return "turn_" + quote(turn_id, safe="", errors="surrogatepass").replace(".", "%2E")


def load_schema(message_type: str = TURN) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a message type's bodies."""
    schema = files("dspy_session_webhook").joinpath("schemas", f"{message_type}.v{VERSION}.json")
    loaded: dict[str, Any] = json.loads(schema.read_text(encoding="utf-8"))
    return loaded


def _conversation(key: str) -> dict[str, str | None]:
    try:
        address = ConversationKey.parse(key)
    except InvalidKeyError:  # A key of the caller's own.
        return {"key": key, "platform": None, "workspace": None, "channel": None, "thread": None}
    return {
        "key": key,
        "platform": address.platform,
        "workspace": address.workspace,
        "channel": address.channel,
        "thread": address.thread,
    }


def _encode_fields(side: str, fields: Mapping[str, Any], encode: Encode, omitted: list[str]) -> dict[str, Any]:
    """One value that JSON cannot hold must not cost the receiver the whole turn, so it is left out and named."""
    encoded = {}
    for name, value in fields.items():
        try:
            encoded[name] = encode(value)
        except (UnsupportedValueError, RecursionError):
            omitted.append(f"{side}.{name}")
    return encoded


def _iso(moment: datetime) -> str:
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
