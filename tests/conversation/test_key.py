"""Conversation keys print, parse back and never collide."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspy_session.conversation import ConversationKey
from dspy_session.errors import InvalidKeyError, SessionError

part = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
keys = st.builds(
    ConversationKey, part, st.one_of(st.just(""), part), part, st.none() | part, st.none() | part
) | st.builds(ConversationKey, part, st.one_of(st.just(""), part), st.just(""), user=part)


@given(keys)
def test_a_key_parses_back_equal(key: ConversationKey) -> None:
    assert ConversationKey.parse(str(key)) == key


@given(keys)
def test_a_key_prints_on_one_line_of_ascii(key: ConversationKey) -> None:
    assert str(key).isascii()
    assert str(key).isprintable()
    assert "/" not in str(key)


@given(keys, keys)
def test_different_keys_print_differently(one: ConversationKey, other: ConversationKey) -> None:
    assert (str(one) == str(other)) == (one == other)


def test_the_parts_cannot_run_into_each_other() -> None:
    assert str(ConversationKey("a", "b:c", "d")) != str(ConversationKey("a", "b", "c", "d"))
    assert str(ConversationKey("a", "b", "c", None)) != str(ConversationKey("a", "b", "c", "None"))


@given(st.text(max_size=40))
def test_any_text_is_a_key_or_an_error_of_ours(text: str) -> None:
    try:
        key = ConversationKey.parse(text)
    except InvalidKeyError:
        return
    assert str(key) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "slack",
        "slack:T1",
        ":T1:C1",
        "slack:T1:",
        "slack:T1:C1:",
        "a:b:c:d:e",
        "a:b:",
        "a:b:=",
        "a:b::d:=u",
        "=u",
        "slack:T 1:C1",
        "a:b:%ff",
    ],
)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidKeyError) as caught:
        ConversationKey.parse(text)
    assert isinstance(caught.value, SessionError)
    assert "conversation key" in str(caught.value)


@pytest.mark.parametrize(
    "parts",
    [
        ("", "w", "c"),
        ("p", "w", ""),
        ("p", "w", "c", ""),
        ("p", 7, "c"),
        ("p", "w", "\ud800"),
        ("p", "w", "", "t", "u"),
        ("p", "w", "c", None, ""),
    ],
)
def test_a_key_needs_its_parts(parts: tuple[str, ...]) -> None:
    with pytest.raises(InvalidKeyError):
        ConversationKey(*parts)
