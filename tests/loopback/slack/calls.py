"""One call of the Web API: what was asked, who asked, and why Slack says no."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from aiohttp import web

if TYPE_CHECKING:
    from tests.loopback.slack.server import FakeSlack


class Refused(Exception):  # noqa: N818 - Slack's answer, not a fault of the fake
    """Slack answers ``{"ok": false, "error": …}``."""

    def __init__(self, error: str, **details: Any) -> None:
        super().__init__(error)
        self.answer = {"ok": False, "error": error, **details}


@dataclass(frozen=True)
class Call:
    """A call as it came in.

    Args:
        method: ``"chat.postMessage"``.
        token: The token that it was made with; empty without one.
        args: Arguments from the query, the form or the JSON body.
    """

    method: str
    token: str
    args: dict[str, Any]

    @classmethod
    async def read(cls, request: web.Request) -> Call:
        args: dict[str, Any] = dict(request.query)
        if request.content_type == "application/json":
            args |= json.loads(await request.text())
        else:
            args |= dict(await request.post())
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme == "Basic":
            client_id, _, secret = base64.b64decode(token).decode().partition(":")
            args |= {"client_id": client_id, "client_secret": secret}
        asked_with = token if scheme == "Bearer" else str(args.pop("token", ""))
        return cls(request.match_info["method"], asked_with, args)

    def __getitem__(self, name: str) -> str:
        """An argument that the method cannot do without."""
        value = self.args.get(name)
        if value in (None, ""):
            raise Refused(
                "invalid_arguments", response_metadata={"messages": [f"[ERROR] missing required field: {name}"]}
            )
        return str(value)

    def get(self, name: str, default: str = "") -> str:
        value = self.args.get(name)
        return default if value is None else str(value)

    def flag(self, name: str, *, default: bool) -> bool:
        """A boolean, which comes as JSON's, as ``"true"`` or as ``"1"``."""
        value = self.args.get(name)
        return default if value is None else value is True or str(value).lower() in ("1", "true")


Answer = Callable[["FakeSlack", Call], Awaitable[dict[str, Any]]]


@dataclass(frozen=True)
class Method:
    """A method of the Web API.

    Args:
        answer: Does what is asked, and answers; ``"ok": true`` is added.
        scopes: The token needs one of these; empty asks for none.
        token: Which kind of token it takes.
    """

    answer: Answer
    scopes: frozenset[str]
    token: Literal["bot", "app", "none"]


METHODS: dict[str, Method] = {}


def method(name: str, *scopes: str, token: Literal["bot", "app", "none"] = "bot") -> Callable[[Answer], Answer]:
    """Make a function answer the Web API method ``name``."""

    def register(answer: Answer) -> Answer:
        METHODS[name] = Method(answer, frozenset(scopes), token)
        return answer

    return register
