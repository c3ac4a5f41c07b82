"""What comes over HTTP: Slack's own is let in, everything else is refused before anybody looks into it."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from dspy_session.errors import ConfigurationError, PlatformError, StoreError
from dspy_session_chat.action import Event
from dspy_session_slack import Slack
from dspy_session_slack.transport.front_door import FrontDoor
from dspy_session_slack.transport.listening import listening, place_of
from dspy_session_slack.transport.mounting import routes
from dspy_session_slack.transport.request import FORM, JSON, MOST, Answer, BadRequestError, Request, parse
from dspy_session_slack.transport.signature import FRESH, is_genuine
from tests.loopback.slack import BOT, FakeSlack, cut
from tests.loopback.slack.http_mode import SECRET, signed
from tests.slack.door import door_for, until
from tests.slack.talk import ANN, ANNS_DM, Echo, platform_of

NOW = 1_790_000_000.5
EVENT = json.dumps({"type": "event_callback", "event": {"type": "message", "text": "a secret"}}).encode()


@dataclass
class Dispatched:
    """Takes what was let in."""

    sent: list[dict[str, Any]] = field(default_factory=list)

    async def __call__(self, sent: Any, headers: Any) -> Answer:
        self.sent.append(sent)
        return Answer(text="taken")


async def pieces(*bodies: bytes) -> AsyncIterator[bytes]:
    for body in bodies:
        yield body


def request(body: bytes, *, at: float = NOW, method: str = "POST", secret: str = SECRET, **headers: str) -> Request:
    sent = {"Content-Type": JSON} | signed(body, at, secret) | headers
    lowered = {name.lower().replace("_", "-"): value for name, value in sent.items()}
    return Request(method, "", lowered, pieces(body))


async def answered(asked: Request, dispatched: Dispatched | None = None, secret: str | None = SECRET) -> Answer:
    return await FrontDoor(lambda: secret, dispatched or Dispatched(), lambda: NOW).answer(asked)


def deep(levels: int) -> bytes:
    return b'{"type":' + b"[" * levels + b"]" * levels + b"}"


REFUSED: list[Any] = [
    pytest.param(request(EVENT, method="GET"), 405, id="no POST"),
    pytest.param(request(EVENT, x_slack_signature=""), 401, id="unsigned"),
    pytest.param(request(EVENT, x_slack_signature="v1=" + "0" * 64), 401, id="another version"),
    pytest.param(request(EVENT, x_slack_signature="v0=" + "é" * 64), 401, id="a signature of other letters"),
    pytest.param(request(EVENT, secret="another"), 401, id="signed by somebody else"),
    pytest.param(request(EVENT, at=NOW - FRESH - 1), 401, id="stale"),
    pytest.param(request(EVENT, at=NOW + FRESH + 1), 401, id="from the future"),
    pytest.param(request(EVENT, x_slack_request_timestamp="now"), 401, id="a time that is no number"),
    pytest.param(request(EVENT, x_slack_request_timestamp=f"{NOW}"), 401, id="a time with a fraction"),
    pytest.param(request(EVENT, x_slack_request_timestamp="9" * 400), 401, id="an endless time"),
    pytest.param(request(b"x" * (MOST + 1)), 413, id="too long"),
    pytest.param(request(EVENT, content_length=f"{MOST + 1}"), 413, id="too long by its own account"),
    pytest.param(request(EVENT, content_length="9" * 5_000), 413, id="endless by its own account"),
    pytest.param(request(EVENT, content_encoding="gzip"), 415, id="packed"),
    pytest.param(request(EVENT, content_type="text/xml"), 415, id="an unknown type"),
    pytest.param(request(EVENT, content_type=""), 415, id="no type"),
    pytest.param(request(b'{"type": "\xff"}'), 400, id="no UTF-8"),
    pytest.param(request(b"{"), 400, id="no JSON"),
    pytest.param(request(deep(100_000)), 400, id="deeply nested"),
    pytest.param(request(b'{"type": ' + b"9" * 5_000 + b"}"), 400, id="an endless number"),
    pytest.param(request(b"[]"), 400, id="no object"),
    pytest.param(request(b'{"type": 1}'), 400, id="no type of it"),
    pytest.param(request(b"payload=%7B", content_type=FORM), 400, id="a form without JSON"),
    pytest.param(request(b"payload=%FF", content_type=FORM), 400, id="a form that is no UTF-8"),
    pytest.param(request(b"&".join([b"a=1"] * 1_000), content_type=FORM), 400, id="a form of a thousand fields"),
    pytest.param(request(b"a=1", content_type=FORM), 400, id="a form of somebody else"),
    pytest.param(request(b"", content_type=FORM), 400, id="an empty form"),
]


@pytest.mark.parametrize(("asked", "status"), REFUSED)
async def test_what_is_not_slacks_is_refused_and_nothing_of_it_is_kept(
    asked: Request, status: int, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    dispatched = Dispatched()

    answer = await answered(asked, dispatched)

    assert (answer.status, answer.text, dispatched.sent) == (status, "", [])
    assert "secret" not in caplog.text
    assert all(record.exc_info is None and record.levelno <= logging.WARNING for record in caplog.records)


async def test_that_the_secret_or_the_clock_may_be_wrong_is_said_once(caplog: pytest.LogCaptureFixture):
    door = FrontDoor(lambda: SECRET, Dispatched(), lambda: NOW)
    unsigned = request(EVENT, x_slack_signature="")
    for asked in (unsigned, request(EVENT, secret="another"), request(EVENT, at=NOW - FRESH - 1)):
        assert (await door.answer(asked)).status == 401

    (told,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "see that SLACK_SIGNING_SECRET is the one of this app" in told
    assert told.endswith("and the clock right")


async def test_no_more_is_read_than_may_come():
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 65_536
            yield b"x" * 65_536

    answer = await answered(Request("POST", "", signed(b"", NOW), endless()))

    assert answer.status == 413
    assert read <= MOST + 65_536


async def test_without_a_secret_slack_is_told_to_come_again():
    assert (await answered(request(EVENT), secret=None)).status == 503


async def test_what_slack_sends_is_let_in():
    press = {"type": "block_actions", "actions": []}
    command = {"command": "/ask", "text": "größer?", "team_id": "T1"}
    form = FORM + "; charset=utf-8"
    dispatched = Dispatched()
    for body, kind in (
        (EVENT, JSON),
        (urlencode({"payload": json.dumps(press)}).encode(), form),
        (urlencode(command | {"empty": ""}).encode(), form),
    ):
        assert (await answered(request(body, content_type=kind), dispatched)).text == "taken"

    assert dispatched.sent == [json.loads(EVENT), press, command | {"empty": ""}]


async def test_what_slack_asks_by_the_way_is_answered(caplog: pytest.LogCaptureFixture):
    dispatched = Dispatched()
    verification = json.dumps({"type": "url_verification", "challenge": "3eZb"}).encode()

    answers = [
        await answered(request(verification), dispatched),
        await answered(request(b"ssl_check=1&token=x", content_type=FORM), dispatched),
        await answered(request(b'{"type": "app_rate_limited"}'), dispatched),
    ]

    assert [(answer.status, answer.text) for answer in answers] == [(200, "3eZb"), (200, ""), (200, "")]
    assert dispatched.sent == []
    assert "Slack holds events back" in caplog.text


@given(st.binary(max_size=200), st.sampled_from([JSON, FORM, "x/y"]))
def test_whatever_comes_is_an_object_or_refused(body: bytes, kind: str):
    try:
        sent = parse(body, kind)
    except BadRequestError as refused:
        sent = {"status": refused.status}
    assert isinstance(sent, dict)
    assert kind != "x/y" or sent == {"status": 415}


@given(st.binary(max_size=50), st.integers(-FRESH, FRESH), st.binary(min_size=1, max_size=5), st.integers(0, 50))
def test_one_other_byte_and_it_is_no_more_slacks(body: bytes, off: int, added: bytes, at: int):
    headers = {name.lower(): value for name, value in signed(body, 1_000 + off).items()}

    assert is_genuine(body, headers, SECRET, 1_000)
    assert not is_genuine(body[:at] + added + body[at:], headers, SECRET, 1_000)


# --- in a server ------------------------------------------------------------------------------------------------------


def over_http(slack: FakeSlack, **options: Any) -> Slack:
    return platform_of(slack, app_token=None, signing_secret=slack.signing_secret, **options)


async def running(platform: Slack, receive: Any) -> asyncio.Task[None]:
    return asyncio.create_task(platform.run(receive))


async def stopped(run: asyncio.Task[None]) -> None:
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)


async def test_while_the_store_is_down_slack_is_told_so_and_sends_it_again(
    slack: FakeSlack, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    async with door_for(slack) as door:
        platform = door.mount(over_http(slack))
        echo, failures = Echo(platform), [StoreError("the disk is full")]

        async def receive(event: Event) -> None:
            if failures:
                raise failures.pop()
            await echo(event)

        assert (await door.send(EVENT))[0] == 503, "it does not run yet"
        run = await running(platform, receive)
        await door.open()
        slack.sockets.may_retry.clear()
        await slack.say("hello", channel=ANNS_DM, user=ANN)
        (delivery,) = slack.deliveries
        await slack.until(lambda: door.http.statuses == [503])
        slack.sockets.may_retry.set()
        await slack.settled()
        await slack.redeliver(delivery)
        await slack.settled()
        await stopped(run)
        assert (await door.send(EVENT))[0] == 503, "it runs no more"

    assert door.http.statuses[0] == 503
    assert set(door.http.statuses[1:]) == {200}
    assert len(delivery.envelope_ids) == 3
    assert echo.texts == ["hello"]
    assert len(slack.posts) == 1
    assert slack.signing_secret not in caplog.text
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.getMessage() for record in warnings] == [
        "A Slack event was not taken, and Slack will send it again: the disk is full"
    ]


async def test_a_workspace_that_takes_the_app_out_is_told_of_and_the_bot_stays_up(
    slack: FakeSlack, caplog: pytest.LogCaptureFixture
):
    async with door_for(slack) as door:
        platform = door.mount(over_http(slack))
        run = await running(platform, Echo(platform))
        await door.open()
        await slack.send({"type": "tokens_revoked", "tokens": {"oauth": [ANN]}})
        assert caplog.messages == []
        for event in ({"type": "tokens_revoked", "tokens": {"bot": [BOT.id]}}, {"type": "app_uninstalled"}):
            await slack.send(event)  # Slack tells of it twice
        await slack.settled()
        assert not run.done()
        await stopped(run)

    assert set(door.http.statuses) == {200}
    (told,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "The Slack workspace T0LOOPBACK has taken the app out: install it again" in told.getMessage()


async def test_a_joined_app_hears_what_comes_over_http(slack: FakeSlack):
    theirs = AsyncApp(client=AsyncWebClient(base_url=slack.base_url, token=slack.bot_token))
    heard: list[str] = []

    @theirs.command("/hours")
    async def hours(ack: Any, command: dict[str, Any]) -> None:
        heard.append(command["text"])
        await ack(text="9 to 6", response_type="ephemeral")

    async with door_for(slack) as door:
        platform = door.mount(Slack(app=theirs, signing_secret=slack.signing_secret))
        echo = Echo(platform)
        run = await running(platform, echo)
        await door.open()
        await slack.say("hello", channel=ANNS_DM, user=ANN)
        assert (await slack.next_post()).text == "echo: hello"
        await slack.command("/hours", "on Sunday", channel=ANNS_DM, user=ANN)
        await slack.settled()
        await stopped(run)

    assert heard == ["on Sunday"]
    assert slack.acks[-1].payload == {"text": "9 to 6", "response_type": "ephemeral"}
    assert echo.texts == ["hello"]


async def test_it_listens_by_itself_where_that_is_asked_for(slack: FakeSlack, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    platform = over_http(slack, listen="127.0.0.1:0")
    run = await running(platform, Echo(platform))
    prefix = "Waiting for Slack's requests at http://"

    async def said() -> list[str]:
        return [each for each in caplog.messages if each.startswith(prefix)]

    address = (await until(said, bool))[0].removeprefix(prefix).removesuffix("/slack/events")
    http = slack.deliver_to(address)

    await slack.say("hello", channel=ANNS_DM, user=ANN)
    assert (await slack.next_post()).text == "echo: hello"
    assert (await http.request(EVENT, {}))[0] == 401
    packed = {"Content-Type": JSON, "Content-Encoding": "gzip"} | signed(EVENT, http.now())
    assert (await http.request(EVENT, packed))[0] == 415, "nothing is unpacked"
    with pytest.raises(
        ConfigurationError, match=f"nobody can listen at {address}: address already in use; choose another"
    ):
        async with listening([], *place_of(address)):
            pytest.fail("two listen at one place")
    with pytest.raises(ConfigurationError, match=r"nobody can listen at 203\.0\.113\.7:0: .*; name an address of this"):
        async with listening([], "203.0.113.7", 0):
            pytest.fail("that is somebody else's address")
    slack.fail("auth.test", cut(), times=99)
    late = over_http(slack, listen=address)
    with pytest.raises(ConfigurationError, match=f"nobody can listen at {address}: "):  # before it tries to sign in
        await late.run(Echo(late))
    await stopped(run)


POST = b"POST /slack/events HTTP/1.1\r\nHost: bot.example\r\n"


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (POST + b"Content-Length: -1\r\n\r\na secret", b"400"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\na secret\r\n", b"400"),
        (POST + b"Content-Length: 100\r\n\r\na secret", b""),
    ],
)
@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING])
async def test_what_is_no_request_is_a_line_without_a_word_of_it(
    caplog: pytest.LogCaptureFixture, sent: bytes, answer: bytes, level: int
):
    caplog.set_level(level)
    caplog.handler.setLevel(logging.NOTSET)  # as handlers are: what is not to be logged reaches none
    doors = {"events": FrontDoor(lambda: SECRET, Dispatched()).answer}
    async with listening(routes(doors, "/slack"), "127.0.0.1", 0) as address:
        reader, writer = await asyncio.open_connection(*address.split(":"))
        writer.write(sent)
        if answer:
            assert answer in await reader.readline()
        writer.close()
        await writer.wait_closed()

    assert "secret" not in caplog.text
    assert all(record.exc_info is None and record.levelno == logging.INFO for record in caplog.records)
    assert level == logging.INFO or not caplog.records


async def test_it_is_mounted_in_any_asgi_server(slack: FakeSlack):
    platform = over_http(slack)
    run = await running(platform, Echo(platform))
    transport = httpx.ASGITransport(app=platform.asgi)
    event = {"type": "message", "channel": ANNS_DM, "channel_type": "im", "user": ANN, "ts": "1.1", "text": "hello"}
    body = json.dumps({"type": "event_callback", "team_id": "T0LOOPBACK", "event": event}).encode()
    async with httpx.AsyncClient(transport=transport, base_url="http://bot.example") as client:

        async def post(path: str, **headers: str) -> httpx.Response:
            sent = {"Content-Type": JSON} | signed(body, time.time()) | headers
            return await client.post(path, content=body, headers=sent)

        taken = await until(lambda: post("/slack/events"), lambda answer: answer.status_code == 200)
        assert (await slack.next_post()).text == "echo: hello"
        assert taken.headers["content-type"].startswith("text/plain")
        assert (await post("/slack/nothing")).status_code == 404
        refused = await client.get("/slack/events")
        assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
        assert (await post("/slack/events", **{"X-Slack-Signature": "v0="})).status_code == 401
    await stopped(run)


async def test_an_asgi_server_may_start_and_stop_it_and_people_may_hang_up():
    incoming: Iterator[dict[str, Any]] = iter(
        [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}, {"type": "http.disconnect"}]
    )
    sent: list[str] = []

    async def receive() -> dict[str, Any]:
        return next(incoming)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    platform = Slack(signing_secret=SECRET)
    scope = {"method": "POST", "path": "/slack/events", "headers": []}
    await platform.asgi({"type": "lifespan"}, receive, send)
    await platform.asgi({"type": "http"} | scope, receive, send)
    await platform.asgi({"type": "websocket"} | scope, receive, send)

    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


# --- what was asked for -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"signing_secret": "s"}, {"listen": ":3000"}])
def test_slack_comes_in_one_way(options: dict[str, Any]):
    with pytest.raises(ConfigurationError, match=r"in one way: over a socket .* or over HTTP"):
        Slack(app_token="xapp-1", **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"listen": ":0"}, "there is no Slack signing secret: .*SLACK_SIGNING_SECRET"),
        ({"signing_secret": "xoxb-1"}, "that is no Slack signing secret but a token"),
        ({"signing_secret": SECRET, "bot_token": "xapp-1"}, "is no Slack bot token but an app-level token"),
    ],
)
async def test_a_wrong_secret_is_one_line(slack: FakeSlack, options: dict[str, Any], message: str):
    platform = platform_of(slack, app_token=None, **options)

    with pytest.raises(PlatformError, match=message):
        await platform.run(Echo(platform))


async def test_a_secret_in_the_environment_will_do(slack: FakeSlack, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SLACK_SIGNING_SECRET", slack.signing_secret)
    async with door_for(slack) as door:
        platform = door.mount(platform_of(slack, app_token=None))
        run = await running(platform, Echo(platform))
        await door.open()
        await slack.say("hello", channel=ANNS_DM, user=ANN)
        assert (await slack.next_post()).text == "echo: hello"
        await stopped(run)


@pytest.mark.parametrize(
    ("listen", "place"),
    [
        ("127.0.0.1:3000", ("127.0.0.1", 3000)),
        (":3000", ("0.0.0.0", 3000)),
        ("3000", ("0.0.0.0", 3000)),
        ("[::1]:80", ("::1", 80)),
    ],
)
def test_places_to_listen_at(listen: str, place: tuple[str, int]):
    assert place_of(listen) == place


@pytest.mark.parametrize("listen", ["", "here", "127.0.0.1", ":99999", ":-1", ":٣", "a:" + "9" * 999])
def test_no_places_to_listen_at(listen: str):
    with pytest.raises(ConfigurationError, match="is no place to listen at: give HOST:PORT"):
        Slack(listen=listen)
