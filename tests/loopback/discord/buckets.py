"""Rate limits as Discord keeps them: so many requests of a kind in a channel, told of in headers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from aiohttp import web


@dataclass
class Bucket:
    """So many ``requests`` of a kind in ``seconds``, in each channel.

    Args:
        method: ``"PATCH"``, or ``"*"``.
        path: Below ``/api/v10``, with ``*`` for ids.
        requests: How many are taken before it is empty.
        seconds: From the first request on, until it is full again.
        emptied: How many requests came when it was empty.
    """

    method: str
    path: str
    requests: int
    seconds: float
    emptied: int = 0
    used: dict[str, tuple[int, float]] = field(default_factory=dict)

    def take(self, path: str, now: float) -> tuple[dict[str, str], bool]:
        """The headers of the answer to a request, and whether it is taken."""
        where = path.split("/")[2]
        used, again = self.used.get(where, (0, 0.0))
        if now >= again:
            used, again = 0, now + self.seconds
        taken = used < self.requests
        self.used[where] = (used + taken, again)
        self.emptied += not taken
        headers = {
            "X-RateLimit-Limit": str(self.requests),
            "X-RateLimit-Remaining": str(self.requests - used - taken),
            "X-RateLimit-Reset-After": f"{again - now:.3f}",
            "X-RateLimit-Bucket": f"{self.method}-{self.path}".replace("/", "-"),
            "Via": "1.1 google",
        }
        return headers, taken


class Buckets:
    """The limits that a test has set."""

    def __init__(self) -> None:
        self._buckets: list[Bucket] = []

    def add(self, bucket: Bucket) -> Bucket:
        self._buckets.append(bucket)
        return bucket

    async def answered(
        self, request: web.Request, path: str, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """What ``handler`` answers, if there is room; how much room there is stands in the headers."""
        for bucket in self._buckets:
            if bucket.method not in (request.method, "*") or not fnmatchcase(path, bucket.path):
                continue
            headers, taken = bucket.take(path, asyncio.get_running_loop().time())
            if not taken:
                wait = float(headers["X-RateLimit-Reset-After"])
                body = {"message": "You are being rate limited.", "retry_after": wait, "global": False}
                return web.Response(
                    body=json.dumps(body).encode(), status=429, content_type="application/json", headers=headers
                )
            response = await handler(request)
            response.headers.update(headers)
            return response
        return await handler(request)
