"""Looking over how an app is set up: whatever is missing is found and said, and no token is shown."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from slack_sdk.http_retry.builtin_async_handlers import AsyncServerErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient

from dspy_session_chat.finding import Finding, mends
from dspy_session_slack import Slack
from dspy_session_slack.setup.checking import Listening, OverHttp, OverSocket, check
from dspy_session_slack.setup.manifest import Setup, manifest
from dspy_session_slack.setup.scopes import APP_SCOPES, Features, bot_scopes
from tests.loopback.slack import FakeSlack, cut, rate_limited, refused, server_error
from tests.loopback.slack.faults import Fault
from tests.loopback.slack.server import OTHER_BOT
from tests.slack.installs import scene
from tests.slack.talk import ANN, ANNS_DM
from tests.slack.test_reaching import served

BARE = Features(commands=False)
AT_ONCE = [AsyncServerErrorRetryHandler(max_retry_count=0)]
"""What fails is not tried again: to wait for that would cost seconds."""
WHOLE = {"bot_scopes": bot_scopes(Features()), "app_scopes": APP_SCOPES}


async def looked_over(slack: FakeSlack, features: Features = BARE, **options: Any) -> dict[str, Finding]:
    """What was found, by what it is of."""
    given = {"bot_token": slack.bot_token, "app_token": slack.app_token} | options
    way = given.get("way") or OverSocket(given["app_token"], given.get("listening"))
    client = AsyncWebClient(base_url=slack.base_url, retry_handlers=AT_ONCE)
    findings = await check(given["bot_token"], way, features, client=client)
    assert not any("\n" in each.says + each.mend for each in findings)
    return {each.what: each for each in findings}


def amiss(found: dict[str, Finding]) -> dict[str, str]:
    return {what: finding.says for what, finding in found.items() if finding.holds is False}


async def test_an_app_that_is_set_up_right() -> None:
    async with FakeSlack(**WHOLE) as slack:
        found = await looked_over(slack, Features())
        await slack.connected(0)
        assert slack.deliveries == []
    assert amiss(found) == {}
    assert found["bot token"].says == "@helper in Loopback (T0LOOPBACK)"
    assert found["read direct messages"].says == "im:history"
    assert found["socket"].holds
    untold = {what: finding.says for what, finding in found.items() if finding.holds is None}
    assert list(untold) == ["events", "buttons", "messages to the bot"]
    for event in manifest(Setup("Helper"))["settings"]["event_subscriptions"]["bot_events"]:
        assert event in untold["events"]


async def test_scopes_that_are_missing_and_scopes_for_nothing() -> None:
    granted = {*bot_scopes(Features()), "chat:write.public"} - {"im:history", "commands"}
    async with FakeSlack(bot_scopes=granted) as slack:
        found = await looked_over(slack, Features())
    assert amiss(found) == {
        "read direct messages": "lacks im:history",
        "take slash commands and the shortcut": "lacks commands",
    }
    (mend,) = mends(found.values())
    assert "(https://api.slack.com/apps/A0LOOPBACK/oauth), under Bot Token Scopes, add im:history, commands;" in mend
    assert found["further scopes"] == Finding(
        "further scopes", holds=None, says="chat:write.public: the bot can do without"
    )


WRONG: list[Any] = [
    pytest.param({"bot_token": None}, "bot token", "SLACK_BOT_TOKEN is not set", id="no bot token"),
    pytest.param({"app_token": ""}, "app-level token", "SLACK_APP_TOKEN is not set", id="no app token"),
    pytest.param(
        {"bot_token": "xapp-1-secret"},
        "bot token",
        "SLACK_BOT_TOKEN holds an app-level token, not xoxb-…",
        id="swapped",
    ),
    pytest.param({"app_token": "xoxp-secret"}, "app-level token", "holds a user token, not xapp-…", id="another kind"),
    pytest.param({"bot_token": "a-secret"}, "bot token", "holds something else, not xoxb-…", id="no token"),
    pytest.param({"bot_token": "xoxb-sécret"}, "bot token", "holds characters that no token has", id="not ASCII"),
    pytest.param({"bot_token": "xoxb-secret"}, "bot token", "does not accept it (invalid_auth)", id="refused"),
    pytest.param({"app_token": "xapp-secret"}, "app-level token", "does not accept it", id="refused too"),
]


@pytest.mark.parametrize(("tokens", "what", "says"), WRONG)
async def test_a_wrong_token_is_told_and_not_shown(
    tokens: dict[str, str], what: str, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with FakeSlack(**WHOLE) as slack:
        found = await looked_over(slack, **tokens)
    assert list(amiss(found)) == [what]
    assert says in found[what].says
    assert re.fullmatch(r"On the page .+ \(https://api\.slack\.com/apps\), .+ to it\.", found[what].mend)
    shown = caplog.text + repr(found)
    assert not any(token and token in shown for token in tokens.values())
    assert "events" not in found, "there is more urgent work"


FAULTS: list[Any] = [
    pytest.param("auth.test", refused("token_revoked"), "bot token", "not accept it (token_revoked)", id="revoked"),
    pytest.param("auth.test", cut(), "bot token", "cannot be reached (ServerDisconnectedError)", id="no network"),
    pytest.param("auth.test", server_error(502), "bot token", "cannot be reached (HTTP 502)", id="outage"),
    pytest.param("auth.test", rate_limited(600), "bot token", "asked too often for now", id="too often"),
    pytest.param("apps.connections.open", rate_limited(), "app-level token", "asked too often", id="too often too"),
    pytest.param("apps.connections.open", cut(), "app-level token", "cannot be reached", id="no network then"),
    pytest.param("link", server_error(403), "socket", "(WSServerHandshakeError)", id="no websockets"),
    pytest.param("bots.info", cut(), "", "", id="whose bot it is is not told"),
]


@pytest.mark.parametrize(("method", "fault", "what", "says"), FAULTS)
async def test_what_goes_wrong_on_the_way_is_told(method: str, fault: Fault, what: str, says: str) -> None:
    async with FakeSlack(**WHOLE) as slack:
        slack.fail(method, fault, times=9)
        found = await looked_over(slack)
    assert list(amiss(found)) == ([what] if what else [])
    if what:
        assert says in found[what].says
        assert found[what].mend


async def test_the_app_level_token_needs_its_scope() -> None:
    async with FakeSlack(app_scopes=()) as slack:
        found = await looked_over(slack)
    assert amiss(found) == {"app-level token": "it lacks connections:write"}
    assert "add connections:write" in found["app-level token"].mend


async def test_tokens_of_two_apps() -> None:
    async with FakeSlack(**WHOLE) as slack:
        slack.bot = OTHER_BOT
        found = await looked_over(slack)
    assert amiss(found) == {"one app": "the bot token is of the app A0OTHER, the app-level token of A0LOOPBACK"}


@asynccontextmanager
async def link(*messages: str) -> AsyncIterator[Fault]:
    """A socket that says this; as the answer of ``apps.connections.open``."""

    async def serve(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        for message in messages:
            await socket.send_str(message)
        await socket.close()
        return socket

    application = web.Application()
    application.router.add_get("/", serve)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield Fault(200, {"ok": True, "url": f"ws://{host}:{port}/"})
    finally:
        await runner.cleanup()


DISABLED = '{"type": "disconnect", "reason": "link_disabled", "debug_info": {"host": "loopback"}}'
CROWD = '{"type": "disconnect", "reason": "too_many_websockets"}'
OTHERS = '{"type": "hello", "num_connections": 3, "connection_info": {"app_id": "A0LOOPBACK"}}'


@pytest.mark.parametrize(
    ("messages", "what", "holds", "says", "mend"),
    [
        ([DISABLED], "socket", False, "Slack gives the app none (link_disabled)", "/apps/A0LOOPBACK/socket-mode), "),
        ([CROWD], "socket", False, "Slack gives the app none (too_many_websockets)", "Stop a bot that runs with this"),
        ([], "socket", False, "it cannot be opened (ConnectionError)", "lets websockets (wss://) to slack.com through"),
        (["{"], "socket", False, "it cannot be opened (JSONDecodeError)", ""),
        (["[]"], "socket", False, "Slack gives the app none (None)", ""),
        ([OTHERS], "other sockets", None, "2 open besides: a bot runs with this token", ""),
    ],
)
async def test_how_slack_greets_a_socket(
    messages: list[str], what: str, holds: bool | None, says: str, mend: str
) -> None:
    async with FakeSlack(**WHOLE) as slack, link(*messages) as answer:
        slack.fail("apps.connections.open", answer)
        found = await looked_over(slack)
    assert found[what].holds is holds
    assert says in found[what].says
    assert mend in found[what].mend


async def test_events_come_or_do_not() -> None:
    async with FakeSlack(**WHOLE) as slack:
        writing: list[asyncio.Task[Any]] = []

        def write(whom: str) -> None:
            assert whom == "@helper"
            writing.append(asyncio.create_task(slack.say("hello", channel=ANNS_DM, user=ANN)))

        found = await looked_over(slack, listening=Listening(30.0, write))
        assert (found["events"].holds, found["events"].says) == (True, "they come: message")
        assert not slack.deliveries[0].acked.is_set(), "the bot gets it later"

    async with FakeSlack(**WHOLE) as slack:
        found = await looked_over(slack, listening=Listening(0.01, lambda whom: None))
    assert amiss(found) == {"events": "none came in 0.01 s"}
    assert "names app_mention, message.channels" in found["events"].mend
    assert "(https://api.slack.com/apps/A0LOOPBACK/event-subscriptions), switch on" in found["events"].mend


async def test_an_app_that_workspaces_install_has_no_bot_token_of_its_own() -> None:
    async with scene() as on:
        way = OverHttp(on.door.http.url.removesuffix("/slack/events"), on.slack.signing_secret)
        found = await looked_over(on.slack, Features(workspaces=True), bot_token=None, way=way)
        assert amiss(found) == {}
        assert list(found) == [
            *("signing secret", "address", "signatures", "installing"),
            *("events", "buttons", "messages to the bot"),
        ]
        assert "app_uninstalled" in found["events"].says


async def test_over_http_the_address_is_tried_out() -> None:
    secret = "0123456789abcdef" * 2
    async with FakeSlack(**WHOLE) as slack, served(*Slack(signing_secret=secret).routes()) as url:
        base = url.removesuffix("/slack/events")
        found = await looked_over(slack, way=OverHttp(base, secret))
        assert amiss(found) == {}
        assert "app-level token" not in found
        assert found["address"].says == f"{url} answers Slack's challenge, as seen from here"
        assert "Enable Events is on with a Request URL that leads to the bot" in found["events"].says
        for wrong, says in ((None, "is not set"), ("xoxb-1", "holds a bot token, not 32 hex"), ("x", "something else")):
            found = await looked_over(slack, way=OverHttp(base, wrong))
            assert says in amiss(found)["signing secret"]
            assert "events" not in found
