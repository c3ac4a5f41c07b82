from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspy_session.conversation.schedule import ATTEMPTS, JITTER, RETRY_DELAYS
from dspy_session.stores.outgoing import Settlement
from dspy_session_webhook.schedule import (
    MAX_RETRY_AFTER,
    Answer,
    Delivered,
    Disable,
    Park,
    Retry,
    decide,
    parse_retry_after,
    settlement,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

statuses = st.one_of(st.none(), st.integers(300, 599))
jitters = st.floats(0, 1, exclude_max=True)


def after(attempt, status=500, retry_after=None, jitter=0.0):
    return decide(attempt, Answer(status, retry_after), jitter=jitter, now=NOW)


def test_the_schedule_of_standard_webhooks():
    minute, hour = 60, 3600
    waits = [after(attempt).delay for attempt in range(1, ATTEMPTS)]
    assert waits == [5, 5 * minute, 30 * minute, *(hours * hour for hours in (2, 5, 10, 14, 20, 24))]
    assert after(ATTEMPTS) == Park()


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_2xx_is_delivered_at_any_attempt(status):
    assert after(1, status) == after(ATTEMPTS, status) == Delivered()


@given(attempt=st.integers(1, ATTEMPTS), jitter=jitters)
def test_gone_disables_at_any_attempt(attempt, jitter):
    assert after(attempt, 410, "5", jitter) == Disable()


@pytest.mark.parametrize("status", [None, 100, 199, 301, 302, 304, 400, 401, 404, 409, 500, 503, 599])
def test_everything_else_failed_redirects_too(status):
    assert after(1, status) == Retry(5.0, hold=0.0)
    assert after(ATTEMPTS, status) == Park()


@pytest.mark.parametrize("status", [429, 502, 504])
def test_an_overloaded_endpoint_is_left_alone_but_not_for_hours(status):
    assert after(1, status) == Retry(5.0, hold=5.0)
    assert after(4, status) == Retry(7_200.0, hold=60.0)


def test_retry_after_lengthens_a_delay_and_holds_the_endpoint():
    assert after(1, 429, "120") == Retry(120.0, hold=120.0)
    assert after(1, 503, "120") == Retry(120.0, hold=120.0)


def test_retry_after_shortens_nothing():
    assert after(4, 429, "1") == Retry(7_200.0, hold=1.0)
    assert after(1, 429, "0") == Retry(5.0, hold=0.0)


def test_retry_after_is_believed_up_to_a_day():
    assert after(1, 429, "86401") == Retry(86_400.0, hold=86_400.0)


@given(attempt=st.integers(1, ATTEMPTS - 1), status=statuses.filter(lambda status: status != 410), jitter=jitters)
def test_jitter_only_ever_adds_and_adds_little(attempt, status, jitter):
    exact, spread = after(attempt, status), after(attempt, status, jitter=jitter)
    assert exact.delay == RETRY_DELAYS[attempt - 1]
    assert exact.delay <= spread.delay <= exact.delay * (1 + JITTER)
    assert exact.hold <= spread.hold <= exact.hold * (1 + JITTER)


@given(attempt=st.integers(1, ATTEMPTS - 1), status=statuses.filter(lambda status: status != 410), header=st.text())
def test_no_header_can_break_a_decision(attempt, status, header):
    decision = after(attempt, status, header)
    assert RETRY_DELAYS[attempt - 1] <= decision.delay <= MAX_RETRY_AFTER
    assert 0 <= decision.hold <= MAX_RETRY_AFTER


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0),
        (" 7 ", 7),
        ("9" * 7_000, MAX_RETRY_AFTER),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("soon", None),
        ("Sun, 01 Mar 2026 12:01:30 GMT", 90),
        ("Sun, 01 Mar 2026 12:01:30 -0000", 90),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0),
        ("Sun, 01 Mar 2099 12:00:00 GMT", MAX_RETRY_AFTER),
        ("Sun, 99 Mar 2026 12:00:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header, seconds):
    assert parse_retry_after(header, NOW) == seconds


def test_a_date_is_measured_from_now():
    assert parse_retry_after("Sun, 01 Mar 2026 12:01:30 GMT", NOW + timedelta(seconds=30)) == 60


def test_an_answer_says_what_happened():
    assert str(Answer(503)) == "HTTP 503"
    assert str(Answer(None, error="timed out")) == "timed out"


@pytest.mark.parametrize(
    ("decision", "told"),
    [
        (Delivered(), Settlement("delivered")),
        (Retry(5.0, hold=3.0), Settlement("retry", delay=5.0, hold=3.0, reason="HTTP 503")),
        (Park(), Settlement("parked", reason="HTTP 503")),
        (Disable(), Settlement("disabled", reason="HTTP 503")),
    ],
)
def test_a_store_is_told_of_each_decision(decision, told):
    assert settlement(decision, Answer(503)) == told
