"""Trying out the address that Slack brings everything to: the bot's own door, and whatever else may stand there."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from dspy_session_chat.finding import Finding
from dspy_session_slack import Slack
from dspy_session_slack.setup.reaching import reach, reach_install
from dspy_session_slack.setup.scopes import Features
from dspy_session_slack.setup.tokens import SIGNING
from tests.slack.installs import scene

SECRET = "0123456789abcdef" * 2

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def served(*routes: web.RouteDef) -> AsyncIterator[str]:
    """A server; its address for Slack."""
    application = web.Application()
    application.add_routes(routes)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield "http://{}:{}/slack/events".format(*runner.addresses[0][:2])
    finally:
        await runner.cleanup()


async def found(url: str, secret: str = SECRET) -> dict[str, Finding]:
    findings = [each async for each in reach(url, secret)]
    assert all(bool(each.mend) is (each.holds is False) for each in findings)
    assert secret not in repr(findings)
    return {each.what: each for each in findings}


async def test_the_bots_own_door() -> None:
    async with served(*Slack(signing_secret=SECRET).routes()) as url:
        good, other = await found(url), await found(url, "f" * 32)
    assert [(each.what, each.holds, each.says) for each in good.values()] == [
        ("address", True, f"{url} answers Slack's challenge, as seen from here"),
        ("signatures", True, "checked: what is not signed by Slack is refused (HTTP 401)"),
    ]
    assert [each.says for each in other.values()] == [f"{url} does not take what Slack signs (HTTP 401)"]
    assert SIGNING.mend in other["address"].mend


def answering(status: int, text: str = "", **headers: str) -> Handler:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=text, headers=headers)

    return answer


async def echoing(request: web.Request) -> web.StreamResponse:
    return web.Response(text=await request.text())


async def hanging_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@pytest.mark.parametrize(
    ("handler", "what", "says"),
    [
        (answering(200, "hello"), "address", "something else than the bot answers at "),
        (answering(302, location="/login"), "address", "leads elsewhere (HTTP 302), and Slack does not follow"),
        (answering(404), "address", "no bot answers at "),
        (answering(503), "address", "(HTTP 503)"),
        (hanging_up, "address", "(ServerDisconnectedError)"),
        (echoing, "signatures", "not checked: what nobody signed is answered with HTTP 200"),
    ],
)
async def test_what_else_may_stand_there(handler: Handler, what: str, says: str) -> None:
    async with served(web.post("/slack/events", handler)) as url:
        findings = await found(url)
    assert [name for name, finding in findings.items() if finding.holds is False] == [what]
    assert says in findings[what].says


async def test_nothing_is_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    findings = await found(f"http://127.0.0.1:{free}/slack/events")
    assert "(ClientConnectorError)" in findings["address"].says
    assert "Start the bot" in findings["address"].mend


async def test_the_page_where_workspaces_install_the_app() -> None:
    async with scene() as on:
        url = on.door.http.url.replace("/slack/events", "/slack/install")
        good, lacks = await reach_install(url, Features()), await reach_install(url, Features(assistant=True))
    assert good == Finding("installing", holds=True, says=f"people can install the app at {url}")
    assert (lacks.holds, lacks.says) == (False, f"{url} does not ask for assistant:write")

    async with served(web.get("/slack/events", answering(200, "<a href='https://slack.com/'>Slack</a>"))) as url:
        nothing = await reach_install(url, Features())
    gone = await reach_install(url, Features())
    assert [nothing.says, gone.says] == [
        f"no app can be installed at {url} (HTTP 200)",
        f"nothing answers at {url} (ClientConnectorError)",
    ]
    assert nothing.mend == gone.mend != ""
