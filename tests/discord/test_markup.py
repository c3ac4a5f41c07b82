"""Long answers for Discord: measured as it measures. How they are cut is tested with the chat."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspy_session_chat.markup.split import SMALLEST_LIMIT
from dspy_session_discord.outbound.markup import MESSAGE_LIMIT, length, shorten, sound, split
from tests.chat.markdown import ANSWER


@given(st.text(max_size=3000) | ANSWER, st.integers(SMALLEST_LIMIT, 400))
def test_any_text_at_all_is_split(text: str, limit: int) -> None:
    parts = split(text, limit)

    assert all(part.strip() and len(part.encode("utf-16-le")) <= 2 * limit for part in parts)
    characters = iter("".join(parts))
    assert all(character in characters for character in re.sub(r"[\s`~>]", "", sound(text)))


def test_a_code_block_is_opened_again_with_its_language() -> None:
    lines = "\n".join(f"    line {number}" for number in range(40))

    parts = split(f"Look:\n```python\ndef f():\n{lines}\n```\nThat is all.", 150)

    assert len(parts) > 2
    assert all(part.count("```") == 2 for part in parts)
    assert all(part.startswith("```python\n    line") for part in parts[1:])
    assert parts[-1].endswith("```\nThat is all.")


def test_a_cut_before_a_code_block_is_better_than_one_inside_it() -> None:
    prose, code = "word " * 12 + "end", "```\n" + "x = 1\n\n" * 5 + "```"

    assert split(f"{prose}\n\n{code}", 100) == [prose, code]


def test_a_cut_leaves_no_empty_code_block_behind() -> None:
    parts = split("word " * 8 + "ab\n```python\n" + "x" * 200 + "\n```", 100)

    assert parts[0].startswith("word")
    assert all("x" in part for part in parts)


def test_backticks_in_the_middle_of_a_line_open_no_code_block() -> None:
    text = "Write ``` before and after it. " * 3

    assert split(text) == [text.strip()]


def test_a_character_that_is_longer_than_a_message_is_cut_all_the_same() -> None:
    zalgo = "o" + "\u0336" * 200

    assert split(zalgo, 100) == [zalgo[:100], zalgo[100:200], zalgo[200:]]


def test_a_fence_is_cut_through_only_when_it_fills_the_message() -> None:
    assert split("x" * 98 + "````", 100) == ["x" * 98, "````"]
    assert max(map(len, split("`" * 250, 100))) <= 100


def test_a_part_of_exactly_the_limit_is_one_message() -> None:
    assert split("x" * MESSAGE_LIMIT) == ["x" * MESSAGE_LIMIT]
    assert [len(part) for part in split("x" * (MESSAGE_LIMIT + 1))] == [MESSAGE_LIMIT, 1]
    assert [len(part) for part in split("😀" * MESSAGE_LIMIT)] == [MESSAGE_LIMIT // 2] * 2
    assert length("x😀") == 3


@pytest.mark.parametrize("nothing", ["", "  \n\t ", "\u2003"])
def test_nothing_to_say_is_no_message(nothing: str) -> None:
    assert split(nothing) == []


def test_half_a_surrogate_pair_becomes_the_replacement_character() -> None:
    assert split("a\ud83d b \udc4d c") == ["a\ufffd b \ufffd c"]
    assert sound("\ud83d\udc4d") == "👍"


@given(st.text(max_size=400) | ANSWER)
def test_a_title_is_one_line_within_its_limit(text: str) -> None:
    title = shorten(text, 100)

    assert length(title) <= 100
    assert "\n" not in title
    assert title.endswith("…") or title == " ".join(sound(text).split())


def test_a_title_is_cut_between_words_and_never_within_a_character() -> None:
    assert shorten("word " * 30, 100) == "word " * 18 + "word word…"[:9] + "…"
    assert shorten("👩‍👩‍👧" * 40, 100) == "👩‍👩‍👧" * 12 + "…"
