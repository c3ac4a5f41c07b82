from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook as Oracle

from dspy_session.errors import ConfigurationError
from dspy_session_webhook.signing import Secret, parse_secrets, sign


def spell(key: bytes) -> str:
    return "whsec_" + base64.b64encode(key).decode()


keys = st.binary(min_size=24, max_size=64)


@given(
    key=keys,
    message_id=st.from_regex(r"[A-Za-z0-9_-]{1,40}", fullmatch=True),
    body=st.text(),
    moment=st.integers(0, 2**32),
)
def test_signs_as_the_library_does(key, message_id, body, moment):
    theirs = Oracle(spell(key)).sign(message_id, datetime.fromtimestamp(moment, UTC), body)
    assert sign(parse_secrets(spell(key)), message_id, moment, body.encode()) == theirs


def test_the_library_verifies_either_key_while_they_are_rotated():
    old, new = spell(b"o" * 24), spell(b"n" * 32)
    now = int(datetime.now(UTC).timestamp())
    body = '{"text":"grüße"}'
    headers = {
        "webhook-id": "turn_1",
        "webhook-timestamp": str(now),
        "webhook-signature": sign(parse_secrets([new, old]), "turn_1", now, body.encode()),
    }
    assert Oracle(old).verify(body, headers) == Oracle(new).verify(body, headers) == {"text": "grüße"}


@given(key=keys)
def test_padding_may_be_missing(key):
    assert Secret.parse(spell(key).rstrip("=")) == Secret.parse(spell(key)) == Secret(key)


@pytest.mark.parametrize(
    ("secret", "complaint"),
    [
        ("", "needs a secret"),
        (None, "needs a secret"),
        ([], "needs a secret"),
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "does not begin so"),
        (["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", None], "does not begin so"),
        (b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "does not begin so"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n", "is not base64"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa-_", "is not base64"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwä", "is not base64"),
        ("whsec_MfKQ9", "is not base64"),
        ("whsec_", "holds 0"),
        (spell(b"k" * 23), "holds 23"),
        (spell(b"k" * 65), "holds 65"),
    ],
)
def test_a_bad_secret_is_one_clear_line_without_the_secret(secret, complaint):
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        parse_secrets(secret)
    said = str(caught.value)
    assert "\n" not in said
    assert "MfKQ9" not in said
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("size", [24, 64])
def test_the_shortest_and_the_longest_key(size):
    assert parse_secrets(spell(b"k" * size)) == (Secret(b"k" * size),)


def test_a_secret_is_never_printed():
    (secret,) = parse_secrets(spell(b"sesame sesame sesame sesame"))
    assert repr(secret) == "Secret()"
