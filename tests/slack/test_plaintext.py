from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspy_session_slack.inbound.plaintext import mentions, plain_text, without_address
from dspy_session_slack.unnamed import unnamed


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("a &amp; b &lt;c&gt; d", "a & b <c> d"),
        ("&amp;lt;", "&lt;"),
        ("<@U1> and <@U2|ben>, and <@U3>", f"@Ann and @ben, and @{unnamed('U3')}"),
        ("in <#C1> or <#C2|random>", "in #general or #random"),
        ("<!here> <!channel> <!everyone|everyone>", "@here @channel @everyone"),
        ("<!subteam^S0|@ops> <!subteam^S1>", f"@ops @{unnamed('S1')}"),
        ("<!date^1392734382^{date}|Feb 18>", "Feb 18"),
        ("<!date^1392734382^{date}>, <!date^x>", "2014-02-18 14:39 UTC, some time"),
        ("<@U0ANN1234|U0ANN1234>", f"@{unnamed('U0ANN1234')}"),
        ("<https://example.com/a?b=1&amp;c=2>", "https://example.com/a?b=1&c=2"),
        ("<http://example.com|example.com>", "example.com"),
        ("<https://example.com|https://example.com>", "https://example.com"),
        ("<https://example.com|the page>", "[the page](https://example.com)"),
        ("<mailto:ann@example.com|ann@example.com>", "ann@example.com"),
        ("*bold* `code`\nnext line", "*bold* `code`\nnext line"),
        ("a < b <> c", "a < b  c"),
    ],
)
def test_markup_is_read_out(text: str, read: str):
    assert plain_text(text, {"U1": "Ann", "C1": "general"}) == read


@given(st.text())
def test_what_a_person_typed_is_read_as_it_was_typed(typed: str):
    sent = typed.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    assert plain_text(sent, {}) == typed


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("<@U1> hello", "hello"),
        ("<@U1>: hello", "hello"),
        (" <@U1>, <@U1> hello", "hello"),
        ("<@U1|helper> hello", "hello"),
        ("hello <@U1>", "hello"),
        ("are you there, <@U1>?", "are you there?"),
        ("<@U1>", ""),
        ("is <@U1> a bot?", "is <@U1> a bot?"),
        ("<@U2> hello", "<@U2> hello"),
        ("<@U1>\n```code```", "```code```"),
    ],
)
def test_the_address_is_taken_off(text: str, rest: str):
    assert without_address(text, "U1") == rest


def test_mentions_are_counted_once_and_in_order():
    assert mentions("<@U2> <@W1|w> <@U2> &lt;@U3&gt; <#C1>") == ["U2", "W1"]
