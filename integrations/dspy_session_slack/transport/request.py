"""A request that came over HTTP, before anything is known of it, and the answer to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from slack_bolt.response import BoltResponse

MOST = 1_048_576
"""Bytes of a request that are read. The longest that Slack sends, a modal full of text, has some hundred thousand."""

READ_SECONDS = 3.0
"""Seconds that a request may take to arrive: Slack has given it up by then."""

FIELDS = 100
"""Fields of a form; a slash command has some twenty."""

JSON, FORM, TEXT = "application/json", "application/x-www-form-urlencoded", "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Request:
    """A request, its body not yet read.

    Args:
        method: ``"POST"``.
        query: What stands behind the ``?`` in its address.
        headers: By name in lower case, the first of those that come several times.
        body: Its bytes, as they arrive.
    """

    method: str
    query: str
    headers: Mapping[str, str]
    body: AsyncIterable[bytes]


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered.

    Args:
        status: The HTTP status.
        text: The body.
        content_type: What the body is.
        headers: What else is said in the headers, in order; a name may come several times.
    """

    status: int = 200
    text: str = ""
    content_type: str = TEXT
    headers: Sequence[tuple[str, str]] = ()


def answer_of(response: BoltResponse) -> Answer:
    """What Bolt wants to be answered."""
    by_name = {
        name.lower(): [values] if isinstance(values, str) else list(values)  # Bolt has both
        for name, values in response.headers.items()
    }
    kind = by_name.pop("content-type", [TEXT])[0]
    text = response.body if isinstance(response.body, str) else json.dumps(response.body)
    more = [(name, value) for name, values in by_name.items() if name != "content-length" for value in values]
    return Answer(response.status, text, kind, more)


class BadRequestError(Exception):
    """A request that is refused for what it is; nothing of it is told to anybody.

    Args:
        status: The HTTP status to answer with.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status


async def read(request: Request) -> bytes:
    """The body of a request, no more than ``MOST`` of it.

    Raises:
        BadRequestError: It is longer, takes too long, or is packed.
    """
    length, packed = request.headers.get("content-length", ""), request.headers.get("content-encoding", "identity")
    if packed.lower() != "identity":  # Slack packs nothing, and what is unpacked may be a thousand times as long
        raise BadRequestError(415)
    if length.isdecimal() and int(length[:20]) > MOST:
        raise BadRequestError(413)
    body = bytearray()
    try:
        async with asyncio.timeout(READ_SECONDS):
            async for piece in request.body:
                body += piece
                if len(body) > MOST:
                    raise BadRequestError(413)
    except TimeoutError:
        raise BadRequestError(408) from None
    return bytes(body)


def parse(body: bytes, content_type: str) -> dict[str, Any]:
    """What Slack sent: an event, what somebody did with a button or a modal, or a slash command.

    Args:
        body: What was read, and found to be Slack's.
        content_type: What the request says that it is.

    Raises:
        BadRequestError: It is none of these.
    """
    kind = content_type.split(";", 1)[0].strip().lower()
    if kind not in (JSON, FORM):
        raise BadRequestError(415)
    try:
        text = body.decode()
        if kind == JSON:
            return _typed(json.loads(text))
        form = parse_qs(text, keep_blank_values=True, errors="strict", max_num_fields=FIELDS)
        fields = {name: values[0] for name, values in form.items()}
        if "payload" in fields:
            return _typed(json.loads(fields["payload"]))
    except (ValueError, RecursionError):
        raise BadRequestError(400) from None
    if not fields.get("command") and "ssl_check" not in fields:
        raise BadRequestError(400)
    return fields


def _typed(value: object) -> dict[str, Any]:
    """Everything that comes as JSON says what it is."""
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        raise BadRequestError(400)
    return value
