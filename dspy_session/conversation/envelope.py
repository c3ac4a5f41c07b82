"""What sinks tell of an event: its type, its time and its data, as JSON that is made once."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any
from urllib.parse import quote

from dspy_session.codec import to_json
from dspy_session.conversation.key import ConversationKey
from dspy_session.conversation.protocols import ChangeEvent, ConversationEvent, TurnEvent
from dspy_session.errors import ConfigurationError, InvalidKeyError
from dspy_session.stores.outgoing import Delivery

logger = logging.getLogger(__name__)

TURN = "conversation.turn"
"""The type of what a committed turn makes."""

TYPES = (
    TURN,
    "turn.scored",
    "turn.edited",
    "conversation.reset",
    "conversation.undone",
    "conversation.forked",
    "conversation.deleted",
)
"""Every type of event that there is to tell."""

VERSION = 1
"""The version of ``data``; it rises when a receiver that follows the schema would have to change."""

LONGEST_ID = 400
"""Characters of an id that stay readable; of a longer one its hash is told, since servers refuse long headers."""

REDACTED = "[redacted]"
"""What stands in the place of a field that is redacted by name."""

Encode = Callable[[Any], Any]
"""Turns a value into JSON values; raises for one that has no such form."""

Redact = Callable[[str, Any], Any]
"""Makes of a field's value what may leave: ``(name, value) -> value``. The same value must always make the same."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What is told of conversations, and what of it stays here.

    Args:
        events: The types of events that are told.
        fields: The only inputs and outputs that are; None for all.
        redact: Makes of a field's value, or of what people say with a score (``"text"``), what may leave.
        encode: Turns values into JSON.
    """

    events: frozenset[str] = frozenset(TYPES)
    fields: frozenset[str] | None = None
    redact: Redact | None = None
    encode: Encode = to_json

    @classmethod
    def of(
        cls,
        *,
        events: Iterable[str] | None = None,
        fields: Iterable[str] | None = None,
        redact: Redact | Iterable[str] | None = None,
        encode: Encode = to_json,
    ) -> Selection:
        """What a sink's arguments mean: names of fields for ``redact`` stand for replacing them by ``"[redacted]"``.

        Raises:
            ConfigurationError: An event is none, or a text stands where several names are meant.
        """
        for name, value in (("events", events), ("fields", fields), ("redact", redact)):
            if isinstance(value, str):
                raise ConfigurationError(f"{name} must be a list of names, not the text {value!r}")
        told = frozenset(TYPES if events is None else events)
        if unknown := sorted(told.difference(TYPES)):
            raise ConfigurationError(f"there is no event {unknown[0]!r}; there are {', '.join(TYPES)}")
        if redact is not None and not callable(redact):
            redact = _by_name(frozenset(redact))
        return cls(told, None if fields is None else frozenset(fields), redact, encode)


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is told of an event: the same event always makes the same bytes.

    Args:
        id: The same whenever the event is told.
        body: ``{"type": …, "timestamp": …, "data": …}``.
        omitted: What was left out, since it has no JSON form or could not be redacted (``"outputs.table"``).
    """

    id: str
    body: bytes = field(repr=False)
    omitted: tuple[str, ...] = ()


def seal(event: ConversationEvent, selection: Selection) -> Envelope | None:
    """What there is to tell of ``event``; None for nothing. Never raises for what the event holds."""
    kind = TURN if isinstance(event, TurnEvent) else event.type
    if kind not in selection.events:
        return None
    open_ = _Open(selection)
    if isinstance(event, TurnEvent):
        event_id, data = turn_id(event.turn.id), _turn_data(event, open_)
    else:
        event_id, data = "change_" + _safe(event.id), _change_data(event, open_)
    head = {"version": VERSION, "conversation": _conversation(event.key)}
    envelope = {"type": kind, "timestamp": _iso(event.occurred_at), "data": {**head, **data}}
    text = json.dumps(envelope, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # A lone surrogate has no UTF-8; its backslash escape happens to be JSON's own.
    return Envelope(event_id, text.encode("utf-8", errors="backslashreplace"), tuple(open_.omitted))


def delivery(sink: str, event: ConversationEvent, selection: Selection) -> Delivery | None:
    """What a sink of that name is to deliver of ``event``; None for nothing. What had to be left out is logged."""
    envelope = seal(event, selection)
    if envelope is None:
        return None
    warn_of_omissions(sink, envelope)
    return Delivery(sink, envelope.id, envelope.body, _utc(event.occurred_at).timestamp())


def warn_of_omissions(sink: str, envelope: Envelope) -> None:
    """Say what an envelope goes without."""
    if envelope.omitted:
        logger.warning(
            "%s: %s goes without %s, which JSON cannot hold or redact failed for",
            *(sink, envelope.id, ", ".join(envelope.omitted)),
        )


def with_id(message_id: str, body: bytes) -> bytes:
    """An envelope's body that says its id too, for where there is no header to hold it."""
    return b'{"id":' + json.dumps(message_id).encode("ascii") + b"," + body[1:]


def turn_id(name: str) -> str:
    """The id that a turn is told under."""
    return "turn_" + _safe(name)


def load_schema(message_type: str = TURN) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of what is told of an event of that type.

    Raises:
        ConfigurationError: There is no such type.
    """
    if message_type not in TYPES:
        raise ConfigurationError(f"there is no event {message_type!r}; there are {', '.join(TYPES)}")
    schema = files("dspy_session.conversation").joinpath("schemas", f"{message_type}.v{VERSION}.json")
    loaded: dict[str, Any] = json.loads(schema.read_text(encoding="utf-8"))
    return loaded


class _Open:
    """An envelope while it is filled: one value that cannot leave must not cost the receiver all the others."""

    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        self.omitted: list[str] = []

    def fields(self, side: str, values: Mapping[str, Any]) -> dict[str, Any]:
        wanted = self._selection.fields
        written = {}
        for name, value in values.items():
            if (wanted is None or name in wanted) and (found := self.field(f"{side}.{name}", name, value)):
                written[name] = found[0]
        return written

    def field(self, where: str, name: str, value: Any) -> tuple[Any] | None:
        redact = self._selection.redact
        try:
            return (self._write(value if redact is None else redact(name, value)),)
        except Exception:  # noqa: BLE001 (somebody else's code; what it raised may hold the value, so it is not told)
            self.omitted.append(where)
            return None

    def usage(self, usage: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        try:
            written: dict[str, Any] = to_json({model: dict(kinds) for model, kinds in usage.items()})
        except Exception:  # noqa: BLE001 (a provider's own counts, whatever those are)
            self.omitted.append("usage")
            return {}
        return written

    def _write(self, value: Any) -> Any:
        encode = self._selection.encode
        written = encode(value)
        if encode is not to_json:
            json.dumps(written, allow_nan=False)  # raises, if somebody else's encode made what is no JSON
        return written


def _turn_data(event: TurnEvent, open_: _Open) -> dict[str, Any]:
    turn = event.turn
    return {
        "turn_id": turn.id,
        "index": turn.index,
        "event_id": event.event_id or None,
        "author": {"id": event.author, "name": event.author_name} if event.author or event.author_name else None,
        "inputs": open_.fields("inputs", turn.inputs),
        "outputs": open_.fields("outputs", turn.outputs),
        "omitted": open_.omitted,
        "score": _number(turn.score),
        "stopped": turn.stopped or None,
        "model": event.model or None,
        "agent_version": event.agent_version or None,
        "agent": event.agent or None,
        "usage": open_.usage(event.usage),
        "created_at": _iso(turn.created_at) if turn.created_at is not None else None,
        "seconds": _number(event.seconds) or None,
    }


def _change_data(event: ChangeEvent, open_: _Open) -> dict[str, Any]:
    details = event.details
    if event.type == "turn.scored":
        text = open_.field("text", "text", details["text"]) if details.get("text") else None
        return {
            "turn_id": details.get("turn_id"),
            "score": _number(details.get("score")),
            "by": details.get("by") or None,
            "source": details.get("source") or None,
            "text": text[0] if text else None,
            "omitted": open_.omitted,
        }
    if event.type == "turn.edited":
        return {
            "turn_id": details.get("turn_id"),
            "inputs": open_.fields("inputs", details.get("inputs", {})),
            "outputs": open_.fields("outputs", details.get("outputs", {})),
            "omitted": open_.omitted,
        }
    if event.type == "conversation.undone":
        return {"turn_ids": list(details.get("turn_ids", ()))}
    if event.type == "conversation.forked":
        return {"from": _conversation(str(details.get("from_key", "")))}
    return {}


def _conversation(key: str) -> dict[str, str | None]:
    try:
        address = ConversationKey.parse(key)
    except InvalidKeyError:  # A key of the caller's own.
        return {"key": key, "platform": None, "workspace": None, "channel": None, "thread": None}
    return {
        "key": key,
        "platform": address.platform,
        "workspace": address.workspace,
        "channel": address.channel or None,
        "thread": address.thread,
    }


def _by_name(names: frozenset[str]) -> Redact:
    return lambda name, value: REDACTED if name in names else value


def _number(value: object) -> float | None:
    return value if isinstance(value, (int, float)) and math.isfinite(value) else None


def _safe(text: str) -> str:
    """Readable, safe in a header and short enough for one, without the dot that joins the signed parts."""
    quoted = quote(text, safe="", errors="surrogatepass").replace(".", "%2E")
    if len(quoted) <= LONGEST_ID:
        return quoted
    return "sha256-" + hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).hexdigest()


def _utc(moment: datetime) -> datetime:
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).astimezone(UTC)


def _iso(moment: datetime) -> str:
    return _utc(moment).isoformat(timespec="microseconds").replace("+00:00", "Z")
