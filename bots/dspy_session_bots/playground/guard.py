"""Who may talk to the server: programs on this machine, and in a browser no page but our own.

Any page that a browser shows can send requests to this machine. What gives it away are the headers that no page can
set: ``Host`` (a page whose own name was rebound to 127.0.0.1 still sends that name), ``Origin`` and
``Sec-Fetch-Site``.
"""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

API = "/api/"
"""Where the page's own requests go; a browser's address bar leads elsewhere."""

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types answer"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

_READS = ("GET", "HEAD")


def own_hosts(port: int) -> frozenset[str]:
    """What the ``Host`` header may say when the server listens on ``port``."""
    names = ("127.0.0.1", "localhost", "[::1]")
    hosts = {f"{name}:{port}" for name in names}
    return frozenset(hosts.union(names) if port == 80 else hosts)  # browsers leave HTTP's own port out


def refusal(method: str, path: str, headers: Mapping[str, str], hosts: frozenset[str]) -> str | None:
    """Why a request is refused, in one line; None when it may pass.

    Args:
        method: The request's method.
        path: Its path.
        headers: Its headers.
        hosts: What its ``Host`` may say.
    """
    host, origin = headers.get("Host", "").lower(), headers.get("Origin")
    if host not in hosts:
        return f"this server is known as {' or '.join(sorted(hosts))} only"
    if origin is not None and origin != f"http://{host}":
        return "pages of other sites may not talk to this server"
    if not path.startswith(API):
        return None
    if headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        return "pages of other sites may not talk to this server"
    if origin is None and method not in _READS:
        return f"a message must come from the page: the header Origin: http://{host} is missing"
    return None


def guard(hosts: frozenset[str]) -> Middleware:
    """The middleware that refuses what may not pass."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        reason = refusal(request.method, request.path, request.headers, hosts)
        if reason is not None:
            return web.json_response({"error": reason}, status=403)
        return await handler(request)

    return check


async def harden(_request: web.Request, response: web.StreamResponse) -> None:
    """Put the security headers on a response, but for one that is stricter by itself."""
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Cache-Control", "no-store")
