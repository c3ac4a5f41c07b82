from __future__ import annotations

import asyncio
import socket
import ssl
from datetime import UTC, datetime

import pytest
import trustme
from yarl import URL

from dspy_session.conversation.envelope import Selection, seal
from dspy_session_webhook.address import Endpoint
from dspy_session_webhook.body import Message
from dspy_session_webhook.deliver import deliver, open_client
from dspy_session_webhook.schedule import Answer
from dspy_session_webhook.signing import parse_secrets
from tests.events import KEY, make_event
from tests.loopback.receiver import SECRET, Abort, DripBody, DripHead, Hang, Reply, open_receiver

SECRETS = parse_secrets(SECRET)
SEALED = seal(make_event(), Selection())
MESSAGE = Message(SEALED.id, KEY, SEALED.body)


async def post(url, *, times=1, patience=10.0, ssl_context=None, loopback=True):
    """The last of ``times`` answers."""
    endpoint = Endpoint(URL(url), loopback)
    async with open_client(endpoint, timeout=patience, ssl_context=ssl_context) as client:
        for _ in range(times):
            answer = await deliver(client, endpoint, SECRETS, MESSAGE, now=datetime.now(UTC))
    return answer


async def test_a_post_that_the_library_verifies(receiver):
    assert await post(receiver.url + "?to=me") == Answer(204)
    (delivery,) = receiver.deliveries
    assert delivery.verified
    assert delivery.body == MESSAGE.body
    assert delivery.path == "/turns?to=me"
    assert delivery.headers["Content-Type"] == "application/json"
    assert delivery.headers["User-Agent"].startswith("dspy-session-kit/")
    assert delivery.headers["webhook-timestamp"].isdigit()


@pytest.mark.parametrize("status", [200, 301, 302, 307, 308, 400, 404, 410, 429, 500, 503])
async def test_the_status_and_retry_after_come_back(receiver, status):
    receiver.behave(Reply(status, {"Retry-After": "7", "Location": receiver.url + "/elsewhere"}, b"never mind"))
    assert await post(receiver.url) == Answer(status, "7")
    assert len(receiver.deliveries) == 1, "a redirect is not followed"


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [(Hang(), "timed out"), (DripHead(), "timed out"), (Abort(), "ServerDisconnectedError")],
)
async def test_no_answer_is_an_answer_too(receiver, behaviour, said):
    receiver.behave(behaviour)
    assert await post(receiver.url + "?token=hush", patience=0.2) == Answer(None, error=said)


async def test_an_endpoint_that_speaks_no_http_is_an_error_without_what_it_said():
    async def babble(reader, writer):
        await reader.read(1)
        writer.write(b"hush hush\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        answer = await post(f"http://127.0.0.1:{port}/?token=hush")
    assert answer.status is None
    assert "hush" not in answer.error


async def test_nobody_there():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        answer = await post(f"http://127.0.0.1:{taken.getsockname()[1]}/?token=hush")
    assert answer.status is None
    assert "Connect call failed" in answer.error or "refused" in answer.error.lower()
    assert "hush" not in answer.error


async def test_a_status_stands_whatever_becomes_of_the_body(receiver):
    receiver.behave(DripBody())
    assert await post(receiver.url) == Answer(200)


async def test_a_short_answer_keeps_the_connection_and_an_endless_one_does_not(receiver):
    receiver.always(Reply(200, body=b"thanks"))
    await post(receiver.url, times=3)
    assert len(receiver.peers) == 1
    receiver.always(Reply(200, body=b"x" * 5_000_000))
    await post(receiver.url, times=3)
    assert len(receiver.peers) == 4


async def test_a_proxy_from_the_environment_is_not_asked(receiver, monkeypatch):
    async with open_receiver() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert await post(receiver.url) == Answer(204)
        assert proxy.deliveries == []


async def test_cookies_are_not_kept(receiver):
    receiver.behave(Reply(204, {"Set-Cookie": "who=me"}))
    await post(str(URL(receiver.url).with_host("localhost")), times=2)
    assert "Cookie" not in receiver.deliveries[1].headers


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_what_turns_out_to_be_this_machine_is_not_connected_to(receiver, host):
    """By number, where no resolver is asked, and by name, where the check of the URL saw nothing wrong."""
    answer = await post(str(URL(receiver.url).with_host(host)), loopback=False)
    assert answer.status is None
    assert "refused to connect to 127.0.0.1, which is not a public address" in answer.error
    assert receiver.peers == set()


async def test_a_name_that_leads_nowhere_is_an_answer_too(refused):
    answer = await post("https://nowhere.invalid/?token=hush", loopback=False)
    assert answer.status is None
    assert "hush" not in answer.error
    refused.clear()  # the guard of these tests stood in for the name server


async def test_tls_is_verified():
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    ours = ssl.create_default_context()
    authority.configure_trust(ours)
    async with open_receiver(tls=server) as receiver:
        assert await post(receiver.url) == Answer(None, error="the endpoint's certificate is not trusted")
        assert receiver.deliveries == []
        assert await post(receiver.url, ssl_context=ours) == Answer(204)
        wrong_name = str(URL(receiver.url).with_host("localhost"))
        assert (await post(wrong_name, ssl_context=ours)).status is None
