"""The bodies of requests and answers, with what Discord refuses in them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from tests.loopback.discord.refusal import invalid

Payload = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Route = tuple[str, str, Handler]
"""A method, a path, and who answers."""

MAX_CONTENT = 2000
MAX_THREAD_NAME = 100


def answer(body: object, *, status: int = 200, headers: Payload | None = None) -> web.Response:
    # web.json_response adds a charset; Discord does not, and discord.py parses "application/json" alone.
    return web.Response(body=json.dumps(body).encode(), status=status, content_type="application/json", headers=headers)


def nothing() -> web.Response:
    return web.Response(status=204)


def thread_name(body: Payload) -> str:
    """The name of a thread, if Discord would take it."""
    name = body.get("name")
    if name is None:
        raise invalid("name", "BASE_TYPE_REQUIRED", "This field is required")
    if not 1 <= len(name) <= MAX_THREAD_NAME:
        raise invalid("name", "BASE_TYPE_BAD_LENGTH", f"Must be between 1 and {MAX_THREAD_NAME} in length.")
    return str(name)


def content_of(body: Payload) -> str:
    """The text of a message, if Discord would take it."""
    content = body.get("content") or ""
    if len(content) > MAX_CONTENT:
        raise invalid("content", "BASE_TYPE_MAX_LENGTH", f"Must be {MAX_CONTENT} or fewer in length.")
    return str(content).strip()
