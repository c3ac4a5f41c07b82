"""What is counted for a message, and what people are told when it is enough."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspy_session import ConfigurationError
from dspy_session.conversation import ConversationKey
from dspy_session.stores import Adjustment, Charge, Refusal
from dspy_session.stores.ledger import charged
from dspy_session_chat import Author, Inbound
from dspy_session_chat.rules.limits import (
    Limits,
    Rate,
    Spending,
    adjustments,
    charges,
    said_of,
    shortened,
    too_long,
    too_many_steps,
    too_slow,
    when,
)

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC).timestamp()
MIDNIGHT = datetime(2026, 11, 27, tzinfo=UTC).timestamp()
EVERYTHING = Limits(
    per_user="20/m",
    per_channel="100/h",
    per_workspace="5/10s",
    tokens_a_day=100_000,
    money_a_day=5,
    user_tokens_a_day=3000,
    user_money_a_day=0.5,
)


def said(user: str = "U1", workspace: str = "T1", channel: str = "C1", platform: str = "slack") -> Inbound:
    key = ConversationKey(platform, workspace, channel, "t")
    author = Author(user, "Ann", workspace=workspace)
    return Inbound(key, "e", author, "hello", "mention", datetime(2026, 1, 2, tzinfo=UTC))


# --- how limits are written -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "rate", "people_read"),
    [
        ("20/m", Rate(20, 1, "m"), "20 messages a minute"),
        (" 100 / Hour ", Rate(100, 1, "h"), "100 messages a hour"),
        ("1/day", Rate(1, 1, "d"), "1 message a day"),
        ("5/10s", Rate(5, 10, "s"), "5 messages in 10 seconds"),
        ("2000/2 days", Rate(2000, 2, "d"), "2,000 messages in 2 days"),
    ],
)
def test_rates(written: str, rate: Rate, people_read: str) -> None:
    assert Rate.parse(written) == rate
    assert str(rate) == people_read.replace("a hour", "an hour")


def test_a_rate_comes_back_evenly() -> None:
    assert Rate.parse("20/m").a_second == 20 / 60
    assert Rate.parse("5/10s").a_second == 0.5


@pytest.mark.parametrize("written", ["", "20", "20/", "/m", "0/m", "20/0m", "-1/m", "1.5/m", "20/fortnight", 20, True])
def test_what_is_no_rate_is_refused_in_one_line(written: Any) -> None:
    with pytest.raises(ConfigurationError, match="for per_user is no rate: write how many in how long, such as 20/m"):
        Limits(per_user=written)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"tokens_a_day": 0}, "tokens_a_day must be a whole number, more than 0; got 0. Leave it out for no limit"),
        ({"tokens_a_day": 1.5}, "tokens_a_day must be a whole number, more than 0; got 1.5"),
        ({"money_a_day": "5"}, "money_a_day must be a number; got '5'"),
        ({"money_a_day": float("nan")}, "money_a_day must be a number; got nan"),
        ({"seconds": -1}, "seconds must be a number, more than 0; got -1"),
        ({"tool_steps": -1}, "tool_steps must be a whole number, 0 or more; got -1"),
        ({"history_turns": True}, "history_turns must be a whole number; got True"),
        ({"reply_characters": 0}, "reply_characters must be a whole number, more than 0"),
        ({"prices": (0.1, 0.2)}, "prices are given by model, prices={'openai/gpt-4o-mini': (0.15, 0.60)}"),
        ({"prices": {"x/y": (1, -1)}}, "the price of x/y is (1, -1): write dollars"),
        ({"prices": {"x/y": 3}}, "the price of x/y is 3: write dollars for a million tokens in"),
    ],
)
def test_what_is_no_limit_is_refused_in_one_line(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Limits(**options)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_limits_count_nothing() -> None:
    limits = Limits(tool_steps=0, history_turns=0, seconds=2.5, input_characters=10)
    assert charges(limits, said(), Spending(1000, 1.0), NOON) == ()
    assert not limits.counts
    assert Limits(per_user="1/m").counts
    assert not Limits(tokens_a_day=5).counts_money
    assert Limits(user_money_a_day=5).counts_money


# --- what is counted --------------------------------------------------------------------------------------------------


def test_a_message_is_counted_for_its_user_channel_workspace_and_day() -> None:
    assert charges(EVERYTHING, said(), Spending(4000, 0.1), NOON) == (
        Charge("per_user:slack:T1:U1", 1.0, 20, 20 / 60, owner="slack:T1:U1"),
        Charge("per_channel:slack:T1:C1", 1.0, 100, 100 / 3600),
        Charge("per_workspace:slack:T1", 1.0, 5, 0.5),
        Charge("tokens_a_day:2026-11-26", 4000, 100_000, ends_at=MIDNIGHT),
        # What is left of a small budget can be had as a whole.
        Charge("user_tokens_a_day:2026-11-26:slack:T1:U1", 3000, 3000, ends_at=MIDNIGHT, owner="slack:T1:U1"),
        Charge("money_a_day:2026-11-26", 0.1, 5, ends_at=MIDNIGHT),
        Charge("user_money_a_day:2026-11-26:slack:T1:U1", 0.1, 0.5, ends_at=MIDNIGHT, owner="slack:T1:U1"),
    )


def test_accounts_of_others_are_others() -> None:
    def accounts(message: Inbound) -> set[str]:
        return {charge.account for charge in charges(EVERYTHING, message, Spending(1, 0), NOON)}

    ours = accounts(said())
    assert len(ours - accounts(said(user="U2"))) == 3
    assert len(ours - accounts(said(channel="C2"))) == 1
    assert len(ours - accounts(said(workspace="T2"))) == 5
    assert accounts(said(workspace="a:b", channel="c")) != accounts(said(workspace="a", channel="b:c"))
    assert len(accounts(said(workspace="", platform="discord"))) == 7  # a DM


def test_budgets_are_corrected_by_what_was_used() -> None:
    reserved = charges(EVERYTHING, said(), Spending(4000, 0.1), NOON)
    assert adjustments(reserved, Spending(500, 0.25)) == (
        Adjustment("tokens_a_day:2026-11-26", -3500),
        Adjustment("user_tokens_a_day:2026-11-26:slack:T1:U1", -2500),
        Adjustment("money_a_day:2026-11-26", 0.15),
        Adjustment("user_money_a_day:2026-11-26:slack:T1:U1", 0.15),
    )
    assert [each.account[:6] for each in adjustments(reserved, Spending(500))] == ["tokens", "user_t"]
    assert adjustments(reserved, Spending(4000, 0.1))[0].account.startswith("user_tokens")  # 3000 were reserved
    assert adjustments(charges(Limits(per_user="1/m"), said(), Spending(1), NOON), Spending(9)) == ()


# --- what people are told ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "at", "line"),
    [
        ("per_user", NOON + 3, "You have reached your limit of 20 messages a minute; it works again in 3 seconds."),
        (
            "per_channel",
            NOON + 1200,
            "This channel has reached its limit of 100 messages an hour; it works again in 20 minutes.",
        ),
        (
            "per_workspace",
            NOON + 0.2,
            "This workspace has reached its limit of 5 messages in 10 seconds; it works again in 1 second.",
        ),
        ("tokens_a_day", MIDNIGHT, "I have used up what I may use in a day; it works again at 00:00 UTC."),
        (
            "user_money_a_day",
            MIDNIGHT,
            "You have used up what you may use of me in a day; it works again at 00:00 UTC.",
        ),
    ],
)
def test_a_refusal_is_one_line_that_says_when_it_works_again(name: str, at: float, line: str) -> None:
    account = next(
        each.account for each in charges(EVERYTHING, said(), Spending(1), NOON) if each.account.startswith(name)
    )
    assert said_of(EVERYTHING, Refusal(account, at), NOON) == line


@given(st.floats(-1000, 2e6))
def test_what_is_promised_is_kept(seconds: float) -> None:
    said_when = when(NOON + seconds, NOON)
    kind, *_, last = said_when.split()
    if kind == "in":
        unit = 60 if last.startswith("minute") else 1
        assert int(said_when.split()[1]) * unit >= seconds
    elif kind == "at":
        hours, minutes = map(int, said_when.split()[1].split(":"))
        assert 0 <= ((hours - 12) * 3600 + minutes * 60 - seconds) % 86400 <= 60
    else:
        moment = datetime.strptime(said_when, "on %Y-%m-%d at %H:%M UTC").replace(tzinfo=UTC)
        assert 0 <= moment.timestamp() - NOON - seconds <= 60


def test_a_refused_message_works_when_it_was_said_to() -> None:
    limits = Limits(per_user="2/m")
    counted = charges(limits, said(), Spending(0), NOON)
    balances = charged(charged({}, counted, NOON), counted, NOON)
    refusal = charged(balances, counted, NOON + 1)
    assert said_of(limits, refusal, NOON + 1).endswith("in 29 seconds.")
    assert isinstance(charged(balances, counted, NOON + 1 + 29), dict)


def test_a_message_that_is_too_long() -> None:
    limits = Limits(input_characters=1000)
    assert too_long(limits, "x" * 1000) is None
    assert too_long(Limits(), "x" * 10**6) is None
    assert too_long(limits, "x" * 12345) == (
        "Your message has 12,345 characters, and I read 1,000 at most; a shorter one works at once."
    )


def test_an_agent_that_was_stopped() -> None:
    assert too_many_steps(Limits(tool_steps=8)) == (
        "I stopped: one message may take me 8 tools and needed more; a smaller question works at once."
    )
    assert too_slow(Limits(seconds=60)) == (
        "I stopped: one message may take me 60 seconds and took longer; a smaller question works at once."
    )


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("short", "short"),
        ("ten chars!", "ten chars!"),
        ("eleven here", "eleven…"),
        ("one two three", "one two…"),
        ("nine char more", "nine char…"),
        ("a word that", "a word…"),
        ("abcdefghijklmnop", "abcdefghi…"),
        ("   abcdefghijklmnop", "   abcdef…"),
    ],
)
def test_an_answer_is_cut_between_words(text: str, cut: str) -> None:
    assert shortened(Limits(reply_characters=10), text) == cut
    assert shortened(Limits(), text) == text


@given(st.text(), st.integers(1, 30))
def test_an_answer_is_never_longer_than_it_may_be(text: str, most: int) -> None:
    cut = shortened(Limits(reply_characters=most), text)
    assert len(cut) <= most
    assert cut == text or text.startswith(cut[:-1])
