"""The front door as a part of somebody's web server: routes for aiohttp, an application for ASGI."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

from aiohttp import web
from multidict import CIMultiDict

from dspy_session_slack.transport.request import Answer, Request

Handler = Callable[[Request], Awaitable[Answer]]

Message = MutableMapping[str, Any]

PIECE = 65_536
"""Bytes read at once."""


class Gone(Exception):  # noqa: N818  # nothing is wrong with it: it ends the reading
    """Whoever asked hung up in the middle of a request, or sends what is none."""


def routes(handlers: Mapping[str, Handler], prefix: str) -> list[web.RouteDef]:
    """Routes for an aiohttp application.

    Args:
        handlers: By the last part of the path.
        prefix: What stands before it, ``"/slack"``.
    """

    def of(handler: Handler) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(asked: web.Request) -> web.Response:
            request = Request(asked.method, asked.query_string, _headers(asked.headers.items()), _pieces(asked))
            try:
                answer = await handler(request)
            except Gone:
                answer = Answer(400)
            headers = CIMultiDict([("Content-Type", answer.content_type), *answer.headers])
            return web.Response(status=answer.status, body=answer.text.encode(), headers=headers)

        return answer

    return [web.route("*", f"{prefix.rstrip('/')}/{path}", of(handler)) for path, handler in handlers.items()]


class AsgiApp:
    """An ASGI application: mount it anywhere, ``"/slack"`` for example.

    Args:
        handlers: By the last part of the path; asked for when a request comes.
    """

    def __init__(self, handlers: Callable[[], Mapping[str, Handler]]) -> None:
        self._handlers = handlers

    async def __call__(
        self,
        scope: Mapping[str, Any],
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Answer one request, or a server that asks whether we are ready."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        if scope["type"] != "http":
            return
        handler = self._handlers().get(scope["path"].rstrip("/").rpartition("/")[2])
        pairs = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
        request = Request(
            scope["method"], scope.get("query_string", b"").decode("latin-1"), _headers(pairs), _body(receive)
        )
        try:
            answer = Answer(404) if handler is None else await handler(request)
        except Gone:
            return
        headers = [("content-type", answer.content_type), *answer.headers]
        encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        await send({"type": "http.response.start", "status": answer.status, "headers": encoded})
        await send({"type": "http.response.body", "body": answer.text.encode()})


async def _live(receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _body(receive: Callable[[], Awaitable[Message]]) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        yield message.get("body", b"")
        more = message.get("more_body", False)


async def _pieces(asked: web.Request) -> AsyncIterator[bytes]:
    try:
        async for piece in asked.content.iter_chunked(PIECE):
            yield piece
    except (ConnectionError, web.RequestPayloadError):
        raise Gone from None


def _headers(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in pairs:
        headers.setdefault(name.lower(), value)
    return headers
