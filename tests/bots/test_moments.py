from __future__ import annotations

import pytest

from dspy_session import ConfigurationError
from dspy_session_bots.moments import ago, exact, iso, lasting, moment_of, until

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2h", NOW - 7200),
        (" 90d ", NOW - 90 * 86400),
        ("2027-01-15T08:00", NOW),
        ("2027-01-15 08:00:00", NOW),
        ("2027-01-15T08:00Z", NOW),
        ("2027-01-15T09:00+01:00", NOW),
        ("2027-01-15", NOW - 8 * 3600),
    ],
)
def test_when(text: str, moment: float) -> None:
    assert moment_of(text, NOW) == moment


@pytest.mark.parametrize("text", ["", "soon", "0d", "2y", "-2h", "2027-13-01", "15.1.2027"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is no time: write how long ago it was"):
        moment_of(text, NOW)


def test_what_a_table_shows_can_be_typed_again() -> None:
    assert moment_of(exact(NOW), 0.0) == NOW
    assert moment_of(exact(NOW + 7, seconds=True), 0.0) == NOW + 7
    assert moment_of(iso(NOW + 0.25), 0.0) == NOW + 0.25


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1 min"), (7199, "1 hour"), (7200, "2 hours"), (86400 * 1200, "1,200 days")],
)
def test_how_long(seconds: float, said: str) -> None:
    assert lasting(seconds) == said


def test_how_long_ago_and_how_soon() -> None:
    assert (ago(NOW - 180, NOW), ago(NOW, NOW), ago(NOW + 5, NOW)) == ("3 min ago", "just now", "just now")
    assert (until(NOW + 180, NOW), until(NOW, NOW), until(NOW - 5, NOW)) == ("in 3 min", "now", "now")
