"""What an answer has besides its words, as Slack can show it."""

from __future__ import annotations

from dspy_session_chat.reply import Link, Reply
from dspy_session_slack.outbound.answer import answer_parts


def test_the_words_come_first_then_the_fields_then_the_sources():
    reply = Reply(
        "**Nine**",
        table=(("opens", "9:00"), ("closing\ntime", "17:00 `sharp` | ```")),
        links=(Link("https://example.com/?a=1&b=2", "Opening [hours]"), Link("", "the door")),
    )

    (text,) = answer_parts(reply)

    assert text.split("\n") == [
        *("**Nine**", ""),
        *("```", "opens        | 9:00", "closing time | 17:00 `sharp` | '''", "```", ""),
        *("1. [Opening (hours)](<https://example.com/?a=1&b=2>)", "2. the door"),
    ]


def test_what_the_agent_thought_is_left_out():
    assert answer_parts(Reply("Nine", reasoning="the sign says so")) == ["Nine"]


def test_an_answer_of_fields_alone_is_an_answer():
    assert answer_parts(Reply("", table=(("opens", ""),))) == ["```\nopens |\n```"]
    assert answer_parts(Reply("", links=(Link("https://example.com"),))) == [
        "1. [https://example.com](<https://example.com>)"
    ]


def test_nothing_is_nothing():
    assert answer_parts(Reply(" ")) == []


def test_a_remark_stands_at_the_end():
    assert answer_parts(Reply("Nine"), "_no file_") == ["Nine\n\n_no file_"]
