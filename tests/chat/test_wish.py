"""What people read of a tool's arguments before it runs."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dspy_session_chat.markup.fences import code_blocks
from dspy_session_chat.wish import LONGEST_FILE, Wish

FENCE = "```"


def shown(tool: str = "delete_account", /, **arguments: Any) -> str:
    """The question, whole."""
    reply = Wish(tool, arguments, "author", 60.0).question()
    assert reply.files == ()
    return reply.text


def cut(tool: str = "delete_account", /, **arguments: Any) -> tuple[str, str]:
    """The question, and what is in the file that goes with it."""
    reply = Wish(tool, arguments, "author", 60.0).question()
    (file,) = reply.files
    assert f"`{file.name}`" in reply.text
    return reply.text, file.data.decode()


class Order(pydantic.BaseModel):
    """What a typed tool may take."""

    item: str
    count: int = 1


class Broken:
    """Cannot even be written down."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


def circle() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


def deep() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(5_000):
        found = {"in": found}
    return found


def test_lines_are_lines_and_none_passes_for_another_argument() -> None:
    assert shown(to="bob", body="Dear all,\r\nto: nobody\n", count=2) == "\n".join(
        [
            "**May I use delete account?**",
            *(f"{FENCE}text", "to: bob", "body:", "  Dear all,", "  to: nobody", "  ", "count: 2", FENCE),
        ]
    )
    assert shown() == "**May I use delete account?**"
    assert shown("a*b_[c](http://x)", note="").startswith("**May I use a\\*b \\[c\\](http\\://x)?**")


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ({"a": [1, None]}, 'what: {"a": [1, null]}'),
        (Order(item="bell"), 'what: {"item": "bell", "count": 1}'),
        ({"api_key": "sk-1234567890abcdefghij"}, 'what: {"api_key": ***}'),
        ("sk-1234567890abcdefghij", "what: sk-***"),
        (b"\xff", "what: b'\\xff'"),
        (float("nan"), "what: nan"),
        (Broken(), "what: <Broken, which cannot be shown>"),
        (circle(), "what: [[...]]"),
        ({1: "a", "b": 2, (3, 4): "c"}, 'what: {"1": "a", "b": 2, "3,4": "c"}'),
        ("", 'what: ""'),
        ("a\u202eb\u200b\x1b[0m\ud800\u2028", "what: a\\u202eb\\u200b\\x1b[0m\\ud800\\u2028"),
        ("❤️\u200d🔥", "what: ❤️\u200d🔥"),
    ],
)
def test_values_of_all_kinds_are_written_out(value: object, line: str) -> None:
    assert shown(what=value).splitlines()[2] == line


def test_what_says_that_it_is_a_secret_is_not_shown() -> None:
    assert "hunter2" not in shown(password="hunter2", name="bob")


def test_what_is_nested_too_deep_to_be_shown_is_asked_about() -> None:
    wish = Wish("run", {"what": deep()}, "author", 60.0)
    assert wish.question().text.startswith("**May I use run?**")
    assert wish.identity("e1") != wish.identity("e1")  # nobody can say whether it is the same again
    assert Wish("run", {"what": {}}, "author", 60.0).identity("e1") == Wish("run", {"what": {}}, "anyone", 1).identity(
        "e1"
    )


def test_what_is_too_long_goes_along_whole() -> None:
    text, whole = cut(to="bob", body="all of it, " * 200 + "and the rest")
    assert "[2,212 characters in all]" in text
    assert "and the rest" not in text
    assert whole == "delete_account\n\nto: bob\nbody: " + "all of it, " * 200 + "and the rest\n"
    text, whole = cut(body="\n" * 300)
    assert text.count("\n") < 50
    assert whole.count("\n") > 300
    text, whole = cut("../send mail", **{f"field_{number}": "x" * 50 for number in range(100)})
    assert "… and 8" in text
    assert "field_99: xxx" in whole
    assert "`.._send_mail.txt`" in text


@pytest.mark.parametrize("line", ["x" * 4, "x" * 200])
def test_a_file_holds_as_much_whatever_the_lines_are(line: str) -> None:
    lines = (LONGEST_FILE - 1_000) // (len(line) + 1)
    text, whole = cut(body=f"{line}\n" * lines)
    assert "All of it is in" in text
    assert whole.count(line) == lines
    text, whole = cut(body=f"{line}\n" * 2 * lines)
    assert "does not hold all either" in text
    assert whole.count(line) >= lines


def test_what_would_end_the_code_goes_along_as_it_is() -> None:
    text, whole = cut(body=f"{FENCE}\n[x](http://evil.example)")
    assert text.count(FENCE) == 2
    assert FENCE in whole


def test_a_file_has_an_end_as_well_and_secrets_are_found_across_it() -> None:
    text, whole = cut(body="x" * (LONGEST_FILE - 10) + " xoxb-1234567890-abcdefghij" + "y" * 5_000_000)
    assert "does not hold all either" in text
    assert len(whole) < LONGEST_FILE + 100
    assert "xoxb-1" not in whole
    _, whole = cut(**{f"field_{number}": "z" * LONGEST_FILE for number in range(3)})
    assert len(whole) < LONGEST_FILE + 300


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.binary() | st.text(st.characters(), max_size=2_000) | st.just("`" * 7),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=25, deadline=None)
@given(st.text(max_size=100), st.dictionaries(st.text(max_size=90), VALUES, max_size=12))
def test_a_question_is_one_message_whatever_the_agent_wants(tool: str, arguments: dict[str, Any]) -> None:
    wish = Wish(tool, arguments, "author", 60.0)
    reply = wish.question()

    assert len(reply.text.encode("utf-16-le")) // 2 < 1_400
    assert len(code_blocks(reply.text)) == bool(arguments)
    assert all(block.closed for block in code_blocks(reply.text))
    assert not any(unicodedata.category(letter) == "Cc" and letter not in "\n\t" for letter in reply.text)
    assert wish.identity("e1")
    json.dumps(reply.to_json())
