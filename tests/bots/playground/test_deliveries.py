from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook as Oracle

from dspy_session import ConfigurationError
from dspy_session_bots.playground import signed_with
from dspy_session_bots.playground.deliveries import KEPT, TOLERANCE_SECONDS, Deliveries
from dspy_session_bots.playground.feed import Feed
from dspy_session_bots.playground.key import conversation_key
from dspy_session_webhook import Webhook
from tests.bots.playground.page import serving

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def signed(body: bytes, secret: str = SECRET, at: datetime = NOW, message_id: str = "turn_1") -> dict[str, str]:
    """Headers as the Standard Webhooks library makes them."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Oracle(secret).sign(message_id, at, body.decode()),
    }


def turn_in(key: str) -> bytes:
    return json.dumps({"type": "conversation.turn", "data": {"conversation": {"key": key}, "index": 0}}).encode()


@pytest.fixture
def verify():
    return signed_with(SECRET, now=NOW.timestamp)


def test_what_the_library_signs_is_signed(verify):
    assert verify(signed(b"{}"), b"{}")


def test_one_of_several_signatures_is_enough(verify):
    headers = signed(b"{}", OTHER)
    headers["webhook-signature"] += f" v2,other {signed(b'{}')['webhook-signature']}"
    assert verify(headers, b"{}")


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-id": "turn_2"},
        {"webhook-id": "türn"},
        {"webhook-timestamp": str(int(NOW.timestamp()) + 1)},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": ""},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1,ümlaut"},
        {"webhook-signature": signed(b"{}", OTHER)["webhook-signature"]},
    ],
)
def test_what_was_changed_is_not_signed(verify, changed: dict[str, str]):
    assert not verify({**signed(b"{}"), **changed}, b"{}")


def test_another_body_is_not_signed(verify):
    assert not verify(signed(b"{}"), b"{} ")


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_header_that_is_missing_is_no_signature(verify, missing: str):
    headers = signed(b"{}")
    del headers[missing]
    assert not verify(headers, b"{}")


@pytest.mark.parametrize("seconds", [-TOLERANCE_SECONDS - 1, TOLERANCE_SECONDS + 1])
def test_a_recording_is_not_taken(verify, seconds: int):
    at = datetime.fromtimestamp(NOW.timestamp() + seconds, UTC)
    assert not verify(signed(b"{}", at=at), b"{}")


def test_a_malformed_secret_is_one_line():
    with pytest.raises(ConfigurationError, match="whsec_"):
        signed_with("secret")


@pytest.mark.parametrize("body", [b"[]", b"{", b"\xff", b"[" * 100_000])
def test_a_signed_body_that_is_no_object_is_refused(body: bytes):
    deliveries = Deliveries(lambda headers, body: True, Feed(), lambda: NOW)
    assert not deliveries.take({}, body)
    assert deliveries.of("one")[0]["signed"] is False


def test_a_delivery_is_shown_in_its_own_thread(verify):
    deliveries = Deliveries(verify, Feed(), lambda: NOW)
    body = turn_in(str(conversation_key("one")))
    assert deliveries.take(signed(body), body)
    assert [delivery["body"]["data"]["index"] for delivery in deliveries.of("one")] == [0]
    assert deliveries.of("two") == []


@pytest.mark.parametrize("key", ["slack:T1:C1", "mine"])
def test_a_delivery_of_another_platform_is_shown_everywhere(verify, key: str):
    deliveries = Deliveries(verify, Feed(), lambda: NOW)
    for body in (turn_in(key), b'{"data": 7}', b'{"data": {"conversation": "one"}}'):
        assert deliveries.take(signed(body), body)
    assert len(deliveries.of("one")) == len(deliveries.of("two")) == 3


def test_the_newest_are_kept(verify):
    deliveries = Deliveries(verify, Feed(), lambda: NOW)
    for number in range(KEPT + 5):
        deliveries.take({"webhook-id": str(number)}, b"unsigned " * 1000)
    kept = deliveries.of("one")
    assert len(kept) == KEPT
    assert (kept[-1]["id"], kept[-1]["number"]) == (str(KEPT + 4), KEPT + 5)
    assert len(kept[-1]["body"]) == 2000


async def test_a_turn_arrives_at_the_local_webhook_signed():
    def webhook(playground):
        return [Webhook(playground.hook_url, SECRET, allow_loopback=True)]

    async with serving(sinks=webhook, verify=signed_with(SECRET)) as visitor:
        async with visitor.page("one") as page, visitor.page("two") as other:
            assert (await page.whole())["deliveries"] == []
            await other.whole()
            await visitor.say("Hello", "one")
            turn = await page.until("turn")
            delivery = await page.until("delivery")
            await visitor.say("Good day", "two")
            elsewhere = await other.until("delivery")
        async with visitor.page("one") as page:
            whole = await page.whole()
    assert (delivery["signed"], delivery["type"]) == (True, "conversation.turn")
    assert delivery["id"] == f"turn_{turn['id']}"
    assert delivery["body"]["data"]["turn_id"] == turn["id"]
    assert delivery["body"]["data"]["inputs"] == turn["inputs"]
    assert elsewhere["body"]["data"]["inputs"] == {"question": "Good day"}
    assert whole["deliveries"] == [delivery]


async def test_an_unsigned_delivery_is_refused_and_shown_as_text():
    body = turn_in(str(conversation_key("one")))
    async with serving(verify=signed_with(SECRET)) as visitor, visitor.page("two") as page:
        await page.whole()
        async with visitor.http.post("/hooks/turns", data=body, headers=signed(body, OTHER)) as response:
            assert response.status == 401
        delivery = await page.until("delivery")
    assert (delivery["signed"], delivery["type"], delivery["body"]) == (False, "", body.decode())


async def test_without_a_secret_there_is_no_webhook():
    async with serving() as visitor, visitor.http.post("/hooks/turns", data=b"{}") as response:
        assert response.status == 404
