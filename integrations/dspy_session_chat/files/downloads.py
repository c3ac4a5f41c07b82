"""Files fetched from a platform's own hosts, and from nowhere else.

Where a file lies is told by an event, so it is as trustworthy as whoever sent that. A request goes out only to hosts
that were named beforehand, over TLS, and carries only the headers that belong to that very host.
"""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from typing import TYPE_CHECKING, TypeAlias

from dspy_session.errors import ConfigurationError, PlatformError
from dspy_session_chat.inbound import Attachment

if TYPE_CHECKING:
    import aiohttp
    from yarl import URL

PIECE = 64 * 1024
"""Bytes that are handed on at a time."""

_HOPS = 2
"""How often a platform's host may send a request on to another one of its own."""

_REDIRECTS = (301, 302, 303, 307, 308)
_LOOPBACK = "localhost"

Connect: TypeAlias = "Callable[[], aiohttp.BaseConnector]"


def _no_headers(_: str) -> Mapping[str, str]:
    return {}


class Downloader:
    """Fetches files, in pieces, from hosts that it was given.

    Each file has a connection of its own, so there is nothing to close, and no cookie is ever kept. Nothing is read
    ahead: whoever stops reading ends the download.

    Args:
        hosts: Host names: ``"files.slack.com"``, or ``"*.example.com"`` for all beneath ``example.com``.
        headers_for_host: The headers to send to a host, a token for example; asked only for hosts among ``hosts``.
        seconds: How long one file may take altogether.
        allow_loopback: Whether ``localhost`` may be among the hosts, where http without TLS will do; for tests.
        connect: Makes the connector of a download; aiohttp's own if None.

    Raises:
        ConfigurationError: A host is none.
    """

    def __init__(
        self,
        hosts: Collection[str],
        headers_for_host: Callable[[str], Mapping[str, str]] = _no_headers,
        *,
        seconds: float = 30.0,
        allow_loopback: bool = False,
        connect: Connect | None = None,
    ) -> None:
        from aiohttp import ClientTimeout

        for host in hosts:
            _check_host(host, allow_loopback=allow_loopback)
        self._exact = frozenset(host for host in hosts if not host.startswith("*."))
        self._suffixes = tuple(host[1:] for host in hosts if host.startswith("*."))
        self._headers_for_host = headers_for_host
        self._timeout = ClientTimeout(total=seconds, sock_connect=seconds / 3, sock_read=seconds / 3)
        self._connect = connect

    @contextlib.asynccontextmanager
    async def fetch(self, attachment: Attachment) -> AsyncIterator[AsyncIterator[bytes]]:
        """What is in a file, piece by piece.

        Raises:
            PlatformError: It is not fetched, or cannot be: one line for the person who sent it, without the address.
        """
        from aiohttp import ClientError

        url = self._admitted(attachment.url)
        async with contextlib.AsyncExitStack() as stack:
            try:
                session = await stack.enter_async_context(self._session())
                response = await stack.enter_async_context(self._answer(session, url))
            except TimeoutError as error:
                raise PlatformError("it took too long to arrive") from error
            except ClientError as error:
                raise PlatformError("it could not be fetched") from error
            yield _pieces(response)

    def _session(self) -> aiohttp.ClientSession:
        from aiohttp import ClientSession, DummyCookieJar

        return ClientSession(
            connector=None if self._connect is None else self._connect(),
            timeout=self._timeout,
            trust_env=False,  # a proxy would see the token
            cookie_jar=DummyCookieJar(),
            auto_decompress=False,  # what is packed may unfold without end
            headers={"Accept-Encoding": "identity"},
        )

    @contextlib.asynccontextmanager
    async def _answer(self, session: aiohttp.ClientSession, url: URL) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer that has the file, after hops from one listed host to another."""
        for _ in range(1 + _HOPS):
            response = await self._asked_twice(session, url)
            try:
                if response.status in _REDIRECTS:
                    url = self._admitted_hop(url, response.headers.get("Location", ""))
                    continue
                if response.status != 200:
                    raise PlatformError(f"its host answered {response.status}")
                if response.headers.get("Content-Encoding", "identity").lower() != "identity":
                    raise PlatformError("its host sends it packed")
                yield response
                return
            finally:
                response.close()  # the rest is not read, so the connection cannot be used again
        raise PlatformError("its host sends requests on without end")

    async def _asked_twice(self, session: aiohttp.ClientSession, url: URL) -> aiohttp.ClientResponse:
        """The answer to a request, which is made again once where that may help."""
        from aiohttp import ClientConnectionError

        try:
            response = await self._asked(session, url)
        except ClientConnectionError as error:
            if isinstance(error, TimeoutError):
                raise
            return await self._asked(session, url)
        if response.status < 500:
            return response
        response.close()
        return await self._asked(session, url)

    async def _asked(self, session: aiohttp.ClientSession, url: URL) -> aiohttp.ClientResponse:
        headers = self._headers_for_host(str(url.raw_host))
        return await session.get(url, headers=headers, allow_redirects=False)

    def _admitted_hop(self, url: URL, location: str) -> URL:
        from yarl import URL

        try:
            return self._admitted(str(url.join(URL(location))) if location else "")
        except ValueError:
            raise PlatformError(_NOT_FETCHED) from None

    def _admitted(self, address: str) -> URL:
        from yarl import URL

        try:
            url = URL(address)
            port = url.explicit_port
        except ValueError:
            raise PlatformError(_NOT_FETCHED) from None
        host = url.raw_host or ""
        listed = host in self._exact or host.endswith(self._suffixes)
        if host == _LOOPBACK and listed:
            secure = url.scheme in ("http", "https")
        else:
            secure = url.scheme == "https" and port in (None, 443)
        if not listed or not secure or url.raw_user is not None or url.raw_password is not None:
            raise PlatformError(_NOT_FETCHED)
        return url


_NOT_FETCHED = "it does not lie on the platform's own hosts"


async def _pieces(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    from aiohttp import ClientError

    try:
        async for piece in response.content.iter_chunked(PIECE):
            yield piece
    except TimeoutError as error:
        raise PlatformError("it took too long to arrive") from error
    except ClientError as error:
        raise PlatformError("it broke off on its way") from error


def _check_host(host: str, *, allow_loopback: bool) -> None:
    name = host.removeprefix("*.")
    if name == _LOOPBACK:
        if not allow_loopback or host != name:
            raise ConfigurationError(
                f"no file is fetched from {host}, unless with allow_loopback=True from {_LOOPBACK}"
            )
        return
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        pass
    else:
        raise ConfigurationError(f"{host!r} is a number: files are fetched from hosts that have a name")
    labels = name.split(".")
    if len(labels) < 2 or not all(
        label and label == label.lower() and label.isascii() and label.replace("-", "").isalnum() for label in labels
    ):
        raise ConfigurationError(
            f'{host!r} is no host: write "files.example.com", or "*.example.com" for all beneath it'
        )
