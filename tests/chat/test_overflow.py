"""Answers of more posts than anybody wants to scroll through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspy_session_chat.markup.overflow import FILE_NAME, NOTICE, Delivery, within
from dspy_session_chat.markup.split import split
from tests.chat.markdown import ANSWER


def utf16(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def test_an_answer_of_few_posts_needs_no_file() -> None:
    assert within(["one", "two"], "one two", most=2, limit=200) == Delivery(("one", "two"), "")


def test_the_last_post_says_that_the_whole_answer_is_in_the_file() -> None:
    answer = "\n\n".join(f"Paragraph {number}. " + "word " * 30 for number in range(10))
    posts = split(answer, 200)

    delivery = within(posts, answer, most=3, limit=200)

    assert delivery.posts[:2] == tuple(posts[:2])
    assert len(delivery.posts) == 3
    assert delivery.posts[2].startswith("Paragraph 2. word")
    assert delivery.posts[2].endswith(f"word\n\n{NOTICE}")
    assert FILE_NAME in NOTICE
    assert delivery.file == answer


def test_code_is_closed_before_the_notice() -> None:
    answer = "```python\n" + "x = 1\n" * 200 + "```"

    (post,) = within(split(answer, 300), answer, most=1, limit=300).posts

    assert post.endswith(f"x = 1\n```\n\n{NOTICE}")


@given(ANSWER, st.integers(200, 400), st.integers(1, 4))
def test_posts_stay_within_their_limit_and_their_number(answer: str, limit: int, most: int) -> None:
    posts = split(answer, limit, length=utf16)

    delivery = within(posts, answer, most=most, limit=limit, length=utf16)

    assert len(delivery.posts) == min(len(posts), most)
    assert all(utf16(post) <= limit for post in delivery.posts)
    assert delivery.file == (answer if len(posts) > most else "")


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="the least is 1"):
        within(["one"], "one", most=0, limit=200)
    with pytest.raises(ValueError, match="no room for the notice"):
        within(["one", "two"], "one two", most=1, limit=100)
