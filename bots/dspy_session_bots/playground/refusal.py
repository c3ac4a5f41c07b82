"""A request that is refused, and why."""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler


class RefusalError(Exception):
    """A request cannot be done as it was asked.

    Args:
        status: The HTTP status.
        reason: Why, and how to ask, in one line.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def refused(status: int, reason: str) -> web.Response:
    """The answer to such a request."""
    return web.json_response({"error": reason}, status=status)


@web.middleware
async def explain(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The middleware that answers with the reason."""
    try:
        return await handler(request)
    except RefusalError as refusal:
        return refused(refusal.status, refusal.reason)
