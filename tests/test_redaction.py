"""No secret comes out of a log."""

from __future__ import annotations

import io
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspy_session.redaction import RedactingFormatter, redact, redact_logs

SLACK = "xoxb-" + "12345678901-abcDEF"
DISCORD = "MTIzNDU2Nzg5MDEyMzQ1Njc4." + "GabcdE." + "x" * 38
KEY = "sk-" + "proj-abcdefghijklmnop1234"


@pytest.mark.parametrize(
    ("text", "secret", "shown"),
    [
        (f"refused: {SLACK}", "abcDEF", "refused: xoxb-***"),
        ("xoxe." + "xoxp-1-Mi0yLTEyMzQ1Ng", "Mi0y", "xoxe.xoxp-***"),
        ("xapp-" + "1-A0-17-abcdef", "abcdef", "xapp-***"),
        (f"token {DISCORD}!", "GabcdE", "token ***!"),
        ("whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw==", "MfKQ", "whsec_***"),
        (f"Incorrect API key provided: {KEY}.", "abcdefgh", "Incorrect API key provided: sk-***."),
        ("eyJ" + "hbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl", "c2ln", "eyJ***"),
        ("https://hooks.slack.com/services/T0/B0/abc", "abc", "https://hooks.slack.com/services/***"),
        ("POST https://discord.com/api/v10/webhooks/12/tok.en-1", "tok.en", "POST https://discord.com/api/v10/webhooks/12/***"),
        ("Authorization: Bearer short", "short", "Authorization: Bearer ***"),
        ("{'Authorization': 'Bot abc', 'x': 1}", "abc", "{'Authorization': 'Bot ***', 'x': 1}"),
        ("(b'Authorization', b'Basic dTpw')", "dTpw", "(b'Authorization', b'Basic ***')"),
        ("sent bearer abcdefghijklmnop123", "abcdef", "sent bearer ***"),
        ("postgresql://bot:p@ss/w:rd@db:5432/x", "rd@", "postgresql://bot:***@db:5432/x"),
        ("postgresql://bot:PASSWORDS@db/x", "WORDS", "postgresql://bot:***@db/x"),
        ("postgresql://bot:password@db/x", "password", "postgresql://bot:***@db/x"),
        ("redis://:hunter2@cache/0", "hunter2", "redis://:***@cache/0"),
        ("https://ann:hunter2@example.com/a@b", "hunter2", "https://ann:***@example.com/a@b"),
        ("https://ghtoken@example.com/x", "ghtoken", "https://***@example.com/x"),
        ("GET /f?id=7&X-Signature=abc&key=def#top", "abc", "GET /f?id=7&X-Signature=***&key=***#top"),
        ("host=db password=hunter2 dbname=x", "hunter2", "host=db password=*** dbname=x"),
        ("Slack(bot_token='short', name='x')", "short", "Slack(bot_token=***, name='x')"),
        ('{"api_key": "a b", "model": "m"}', "a b", '{"api_key": ***, "model": "m"}'),
    ],
)  # fmt: skip
def test_a_secret_is_not_shown(text: str, secret: str, shown: str) -> None:
    assert secret in text
    assert redact(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "used tokens=120, max_tokens=4096 and 3 tools",
        "Connected to http://127.0.0.1:8000/a@b as bot 7",
        "https://example.com/a?page=2&sort=key",
        "the bearer of bad news; basic internationalization",
        "a token: see the docs, then ask-for-a-new-one-at-the-desk",
        "slack:T1:C1:1700000000.000100",
        "write it as postgresql://USER:PASSWORD@HOST/DATABASE",
        "give Slack(bot_token=…) or set SLACK_BOT_TOKEN (xoxb-…)",
        "0123456789abcdef0123456789abcdef01234567",
        "module.sub_module_name.another_module.function_of_some_length",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


PIECES = (
    "://",
    ":",
    "@",
    "?",
    "&",
    "key=",
    "token=",
    "password",
    "Bearer ",
    "Authorization: ",
    SLACK,
    KEY,
    " ",
    "x1",
    "'",
)


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=12).map("".join))
def test_redacting_twice_is_redacting_once(text: str) -> None:
    once = redact(text)
    assert redact(once) == once
    assert "abcDEF" not in once


@pytest.mark.unwatched
@pytest.mark.parametrize("unit", ["a", "eyJ", "token", "a://b:", "https://", "sk-", "Authorization:", "x.", "'"])
def test_long_lines_without_a_secret_hold_nobody_up(unit: str) -> None:
    """A pattern that goes back and forth over such a line would not be done before every test's time is up."""
    redact(unit * (300_000 // len(unit)))


def fail(secret: str) -> None:
    raise RuntimeError(f"refused: {secret}")


def logged(formatter: logging.Formatter | None = None) -> str:
    """What a handler writes of a record whose message, argument and traceback each hold a secret."""
    stream = io.StringIO()
    logger = logging.getLogger("tests.redaction")
    logger.propagate = False
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logger.addHandler(handler)
    redact_logs([logger])
    redact_logs([logger])
    try:
        fail(SLACK)
    except RuntimeError:
        logger.exception("With %s and %s", DISCORD, {"password": "hunter2"})
    finally:
        logger.removeHandler(handler)
    return stream.getvalue()


@pytest.mark.parametrize("formatter", [None, logging.Formatter("%(levelname)s %(message)s")])
def test_no_secret_comes_out_of_a_handler(formatter: logging.Formatter | None) -> None:
    written = logged(formatter)
    assert "With *** and {'password': ***}" in written
    assert "RuntimeError: refused: xoxb-***" in written
    assert "Traceback" in written
    assert all(secret not in written for secret in (SLACK[5:], DISCORD, "hunter2"))


def test_every_handler_that_is_there_is_covered() -> None:
    root, other = logging.StreamHandler(io.StringIO()), logging.StreamHandler(io.StringIO())
    logging.getLogger().addHandler(root)
    logging.getLogger("somebody.else").addHandler(other)
    before = {handler: handler.formatter for handler in logging.getLogger().handlers}
    try:
        redact_logs()
        assert isinstance(root.formatter, RedactingFormatter)
        assert isinstance(other.formatter, RedactingFormatter)
    finally:
        logging.getLogger("somebody.else").removeHandler(other)
        for handler, formatter in before.items():
            handler.setFormatter(formatter)
        logging.getLogger().removeHandler(root)
