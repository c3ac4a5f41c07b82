"""Files come from listed hosts, over real sockets, and nothing leaks to others."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
import trustme
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from dspy_session.errors import ConfigurationError, PlatformError
from dspy_session_chat import Attachment
from dspy_session_chat.files.attachments import FileLimits, read_attachments
from dspy_session_chat.files.downloads import Downloader
from tests.chat.pictures import png

Serve = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Host:
    """A server on this machine that keeps the requests it got."""

    def __init__(self, serve: Serve) -> None:
        self.serve = serve
        self.requests: list[web.Request] = []
        self.url = ""
        self.port = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        return await self.serve(request)

    @property
    def tokens(self) -> list[str | None]:
        return [request.headers.get("Authorization") for request in self.requests]


@contextlib.asynccontextmanager
async def host(serve: Serve | bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[Host]:
    async def plainly(request: web.Request) -> web.StreamResponse:
        return web.Response(body=serve if isinstance(serve, bytes) else b"")

    opened = Host(plainly if isinstance(serve, bytes) else serve)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", opened.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    opened.port = runner.addresses[0][1]
    opened.url = f"http://localhost:{opened.port}/file"
    try:
        yield opened
    finally:
        await runner.cleanup()


def downloader(hosts: tuple[str, ...] = ("localhost",), **options: Any) -> Downloader:
    options.setdefault("allow_loopback", True)
    return Downloader(hosts, lambda name: {"Authorization": f"Bearer for-{name}"}, **options)


async def fetched(url: str, source: Downloader | None = None) -> bytes:
    async with (source or downloader()).fetch(Attachment("a", url=url)) as pieces:
        return b"".join([piece async for piece in pieces])


async def test_a_file_arrives_with_the_token_of_its_host() -> None:
    data = b"x" * 200_000
    async with host(data) as here:
        assert await fetched(here.url) == data
        assert here.tokens == ["Bearer for-localhost"]
        assert here.requests[0].headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/a",
        "http://[::1]:1/a",
        "http://2130706433:1/a",
        "http://localhost.:1/a",
        "http://localhost.evil.example/a",
        "http://ann:secret@localhost:1/a",
        "http://files.example/a",
        "https://files.example:8443/a",
        "https://files.example.evil.example/a",
        "https://evilfiles.example/a",
        "https://cdn.example/a",
        "https://files.example@evil.example/a",
        "https://evil.example#files.example",
        "ftp://files.example/a",
        "file:///etc/passwd",
        "//files.example/a",
        "/a",
        "",
        "https://[/a",
        "https://files.example:x/a",
    ],
)
async def test_nothing_is_fetched_from_elsewhere(url: str) -> None:
    source = downloader(("localhost", "files.example", "*.cdn.example"))
    with pytest.raises(PlatformError, match=r"^it does not lie on the platform's own hosts$"):
        await fetched(url, source)


async def test_a_redirect_to_elsewhere_is_not_followed() -> None:
    async with host(b"secret") as there:

        async def away(request: web.Request) -> web.StreamResponse:
            raise web.HTTPFound(f"http://127.0.0.1:{there.port}/file")

        async with host(away) as here:
            with pytest.raises(PlatformError, match="own hosts"):
                await fetched(here.url)
            assert there.requests == []


async def test_a_redirect_among_the_platforms_hosts_is_followed() -> None:
    async def serve(request: web.Request) -> web.StreamResponse:
        if request.path == "/file":
            raise web.HTTPFound("/other?x=1")
        return web.Response(body=b"here")

    async with host(serve) as here:
        assert await fetched(here.url) == b"here"


@pytest.mark.parametrize("location", ["/file", "http://[", ""])
async def test_redirects_that_lead_nowhere_end(location: str) -> None:
    async def serve(request: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": location})

    async with host(serve) as here:
        with pytest.raises(PlatformError, match=r"without end|own hosts"):
            await fetched(here.url)
        assert len(here.requests) <= 3


@pytest.mark.parametrize("status", [404, 403, 204, 206])
async def test_another_answer_is_said(status: int) -> None:
    async def serve(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status)

    async with host(serve) as here:
        with pytest.raises(PlatformError, match=f"its host answered {status}"):
            await fetched(here.url)
        assert len(here.requests) == 1


async def test_a_host_that_stumbles_is_asked_once_more() -> None:
    async def serve(request: web.Request) -> web.StreamResponse:
        if len(here.requests) == 1:
            assert request.transport is not None
            request.transport.abort()
        return web.Response(body=b"here")

    async with host(serve) as here:
        assert await fetched(here.url) == b"here"
        assert len(here.requests) == 2


async def test_and_not_more_often() -> None:
    async def serve(request: web.Request) -> web.StreamResponse:
        return web.Response(status=503)

    async with host(serve) as here:
        with pytest.raises(PlatformError, match="its host answered 503"):
            await fetched(here.url)
        assert len(here.requests) == 2


async def test_a_length_that_lies_breaks_off() -> None:
    async def serve(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"x" * 10)
        assert request.transport is not None
        request.transport.close()
        return response

    async with host(serve) as here:
        with pytest.raises(PlatformError, match="broke off"):
            await fetched(here.url)


async def endless(request: web.Request) -> web.StreamResponse:
    """Says nothing of a length, and never ends."""
    response = web.StreamResponse()
    response.enable_chunked_encoding()
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        while True:
            await response.write(b"x" * 65_536)
    return response


async def test_reading_ends_once_it_is_too_much() -> None:
    async with host(endless) as here:
        got = await read_attachments([Attachment("a.txt", size=10, url=here.url)], downloader())
    assert got.left_out == ("a.txt was not read: it is larger than 5 MB.",)


async def test_25_megabytes_are_too_much() -> None:
    async with host(b"x" * 25_000_000) as here:
        got = await read_attachments([Attachment("a.txt", url=here.url)], downloader())
    assert got.left_out == ("a.txt was not read: it is larger than 5 MB.",)


async def test_a_slow_drip_is_given_up() -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(b"x")
                await asyncio.sleep(0.01)
        return response

    async with host(drip) as here:
        with pytest.raises(PlatformError, match="too long"):
            await fetched(here.url, downloader(seconds=0.3))
        got = await read_attachments([Attachment("a", url=here.url)], downloader(), FileLimits(seconds=0.1))
    assert got.left_out == ("a was not read: it took too long to arrive.",)


async def test_a_host_that_says_nothing_is_given_up() -> None:
    async def hang(request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async with host(hang) as here:
        with pytest.raises(PlatformError, match="too long"):
            await fetched(here.url, downloader(seconds=0.3))


async def test_nobody_there_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(PlatformError, match="could not be fetched"):
            await fetched(f"http://localhost:{taken.getsockname()[1]}/a")


async def test_what_is_packed_is_not_unpacked() -> None:
    async def serve(request: web.Request) -> web.StreamResponse:
        return web.Response(body=gzip.compress(b"\0" * 10_000_000), headers={"Content-Encoding": "gzip"})

    async with host(serve) as here:
        with pytest.raises(PlatformError, match="packed"):
            await fetched(here.url)


async def test_a_picture_that_would_unfold_without_end_is_not_taken() -> None:
    async with host(png(60_000, 60_000)) as here:
        got = await read_attachments([Attachment("a.png", "image/png", url=here.url)], downloader())
    assert got.left_out == ("a.png was not read: the picture has more than 50 million pixels.",)


async def test_no_proxy_sees_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    async with host(b"proxy") as proxy, host(b"here") as here:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert await fetched(here.url) == b"here"
        assert proxy.requests == []


class Here(AbstractResolver):
    """Every name is on this machine."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host="127.0.0.1", port=self.port, family=socket.AF_INET, proto=0, flags=0),
        ]

    async def close(self) -> None:
        pass


async def test_each_host_gets_its_own_headers_over_tls() -> None:
    authority = trustme.CA()
    server, client = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("files.example", "eu.cdn.example").configure_cert(server)
    authority.configure_trust(client)

    async def serve(request: web.Request) -> web.StreamResponse:
        if request.host == "files.example":
            raise web.HTTPFound("https://EU.cdn.example/a?signed=1")
        return web.Response(body=b"here")

    async with host(serve, tls=server) as here:
        source = Downloader(
            ["files.example", "*.cdn.example"],
            lambda name: {"Authorization": "Bearer secret"} if name == "files.example" else {},
            connect=lambda: aiohttp.TCPConnector(resolver=Here(here.port), ssl=client),
        )
        assert await fetched("https://files.example/a", source) == b"here"
        assert here.tokens == ["Bearer secret", None]


@pytest.mark.parametrize(
    "name",
    [
        "127.0.0.1",
        "::1",
        "[::1]",
        "localhost",
        "*.localhost",
        "com",
        "*.com",
        "*",
        "",
        "a..b",
        "Files.Example",
        "a/b.c",
    ],
)
def test_what_is_no_host_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Downloader([name])
    assert "\n" not in str(caught.value)
