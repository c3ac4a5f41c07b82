"""Long answers, cut for Discord."""

from __future__ import annotations

import re

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from dspy_session_discord.markup import MESSAGE_LIMIT, SMALLEST_LIMIT, length, shorten, sound, split

PROSE = st.text(st.sampled_from("ab cd\n\n.é漢😀"), max_size=400).map(str.strip)
CODE = st.builds(
    lambda language, body: f"```{language}\n{body}\n```",
    st.sampled_from(["", "python", "c++", "objective-c"]),
    st.text(st.sampled_from("xy =\n    #"), min_size=1, max_size=500).filter(str.strip),
)
DOCUMENT = st.lists(PROSE | CODE, max_size=8).map("\n\n".join)
LIMIT = st.integers(SMALLEST_LIMIT, 400)

GRAPHEMES = [
    "a",
    " ",
    "\n",
    "é",
    "e\u0301",
    "漢",
    "😀",
    "👍🏽",
    "👩‍👩‍👧",
    "🇩🇪",
    "❤️",
    "🏴\U000e0067\U000e0062\U000e007f",
]


def squeezed(text: str) -> str:
    """What must survive a split: everything but white space and the fences."""
    return re.sub(r"\s|`{3,}[\w+\-.#]*", "", text)


@given(DOCUMENT, LIMIT)
def test_parts_fit_and_nothing_is_lost(document: str, limit: int) -> None:
    parts = split(document, limit)

    assert all(part.strip() and length(part) <= limit for part in parts)
    assert squeezed("\n".join(parts)) == squeezed(document)


@given(DOCUMENT, LIMIT)
def test_every_part_closes_the_code_blocks_that_it_opens_and_shows_no_empty_one(document: str, limit: int) -> None:
    for part in split(document, limit):
        assert part.count("```") % 2 == 0
        assert all(block.strip() for block in re.findall(r"(?s)```[\w+\-.#]*\n(.*?)```", part))


@given(st.text(max_size=3000), LIMIT)
def test_any_text_at_all_is_split(text: str, limit: int) -> None:
    parts = split(text, limit)

    assert all(part.strip() and length(part) <= limit for part in parts)
    assert re.sub(r"[\s`]", "", "".join(parts)) == re.sub(r"[\s`]", "", sound(text))


@given(st.lists(st.sampled_from(GRAPHEMES), max_size=300), LIMIT)
def test_no_character_that_people_see_is_cut(graphemes: list[str], limit: int) -> None:
    whole = set(regex.findall(r"\X", "".join(graphemes)))

    for part in split("".join(graphemes), limit):
        assert set(regex.findall(r"\X", part)) <= whole


@pytest.mark.parametrize("grapheme", [one for one in GRAPHEMES if len(one) > 1])
@pytest.mark.parametrize("offset", range(4))
def test_no_cut_goes_through_a_grapheme(grapheme: str, offset: int) -> None:
    parts = split("x" * offset + grapheme * 60, 100)

    assert len(parts) > 1
    if grapheme != "🇩🇪":  # a row of flags is cut through only where there is no other place
        assert all(part.lstrip("x") == grapheme * (len(part.lstrip("x")) // len(grapheme)) for part in parts)


def test_paragraphs_come_before_lines_and_lines_before_words() -> None:
    paragraph = "word " * 11 + "end"

    assert split(f"{paragraph}\n\n{paragraph}", 100) == [paragraph, paragraph]
    assert split(f"{paragraph}\n{paragraph}", 100) == [paragraph, paragraph]
    assert split(f"{paragraph}\n\nshort\n{paragraph}", 100) == [paragraph, f"short\n{paragraph}"]
    assert split("word " * 30, 100) == [("word " * 20).strip(), ("word " * 10).strip()]
    assert split("x" * 150, 100) == ["x" * 100, "x" * 50]


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


def test_a_code_block_that_was_never_closed_is_closed() -> None:
    assert split("```sh\nls") == ["```sh\nls\n```"]


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


@pytest.mark.parametrize("nothing", ["", "  \n\t ", "\u2003"])
def test_nothing_to_say_is_no_message(nothing: str) -> None:
    assert split(nothing) == []


def test_half_a_surrogate_pair_becomes_the_replacement_character() -> None:
    assert split("a\ud83d b \udc4d c") == ["a\ufffd b \ufffd c"]
    assert sound("\ud83d\udc4d") == "👍"


def test_a_limit_without_room_for_a_code_block_is_refused() -> None:
    with pytest.raises(ValueError, match="least is 80"):
        split("text", 10)


@given(st.text(max_size=400) | DOCUMENT)
def test_a_title_is_one_line_within_its_limit(text: str) -> None:
    title = shorten(text, 100)

    assert length(title) <= 100
    assert "\n" not in title
    assert title.endswith("…") or title == " ".join(sound(text).split())
