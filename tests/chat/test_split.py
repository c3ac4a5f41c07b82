"""Long answers, cut into posts."""

from __future__ import annotations

import re

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from dspy_session_chat.markup.split import SMALLEST_LIMIT, split
from tests.chat.markdown import ANSWER, GRAPHEMES, LINKS, PARAGRAPH, TABLE, TOKENS

LIMIT = st.integers(120, 500)
HEAD = "| a | b | c |\n|---|:--|--:|"


def utf16(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def squeezed(text: str) -> str:
    """What must survive a split: all but white space and what is repeated."""
    text = re.sub(r"(?m)^[ \t>]*(`{3,}|~{3,})[\w+]*$", "", text.replace(HEAD, ""))
    return re.sub(r"\s|^> |(?m:^>)", "", text)


def is_in(text: str, longer: str) -> bool:
    """Whether all characters of ``text`` are in ``longer``, in order."""
    characters = iter(longer)
    return all(character in characters for character in text)


@given(ANSWER, LIMIT)
def test_posts_fit_and_nothing_is_lost(answer: str, limit: int) -> None:
    posts = split(answer, limit, length=utf16)

    assert all(post.strip() and utf16(post) <= limit for post in posts)
    assert squeezed("\n".join(posts)) == squeezed(answer)


@given(ANSWER, LIMIT)
def test_every_post_closes_the_code_that_it_opens(answer: str, limit: int) -> None:
    for post in split(answer, limit):
        fences = re.findall(r"(?m)^[ ]*(`{3,}|~{3,})[\w+]*$", post)
        while fences:
            marks = fences.pop(0)
            inside = iter(range(len(fences)))
            closing = next((n for n in inside if fences[n].startswith(marks)), None)
            assert closing is not None, post
            del fences[: closing + 1]


@given(ANSWER, LIMIT)
def test_no_grapheme_link_or_mention_is_cut(answer: str, limit: int) -> None:
    whole = set(regex.findall(r"\X", answer)) | {"`", "~"}
    posts = split(answer, limit)

    assert {grapheme for post in posts for grapheme in regex.findall(r"\X", post)} <= whole
    for piece in LINKS + TOKENS:
        assert sum(post.count(piece) for post in posts) == answer.count(piece)


@given(st.lists(PARAGRAPH, min_size=1, max_size=8).map("\n\n".join), LIMIT)
def test_posts_of_prose_are_at_least_half_full(answer: str, limit: int) -> None:
    posts = split(answer, limit)

    # Only a link that must stay whole makes a post shorter.
    assert all(len(post) >= limit // 2 - max(map(len, LINKS)) for post in posts[:-1])


@given(TABLE, LIMIT)
def test_every_post_of_a_table_is_a_table(table: str, limit: int) -> None:
    parser = MarkdownIt("commonmark").enable("table")
    rows = []
    for post in split(table, limit):
        assert post.startswith(HEAD)
        assert [token.type for token in parser.parse(post)].count("table_open") == 1
        rows += post.split("\n")[2:]

    assert rows == table.split("\n")[2:]


@given(st.text(max_size=2000), st.integers(SMALLEST_LIMIT, 300))
def test_any_text_at_all_is_split(text: str, limit: int) -> None:
    posts = split(text, limit)

    assert all(post.strip() and len(post) <= limit for post in posts)
    assert is_in(re.sub(r"[\s`~>]", "", text), "".join(posts))


@given(st.text(st.sampled_from("`~>|-[]()*_ \n\t1.a#:!<"), max_size=1500), st.integers(SMALLEST_LIMIT, 200))
def test_markup_run_wild_is_split(text: str, limit: int) -> None:
    posts = split(text, limit)

    assert all(post.strip() and len(post) <= limit for post in posts)
    assert set("".join(posts)) <= set(text) | set("\n `~")


@given(ANSWER)
def test_what_fits_is_left_alone(answer: str) -> None:
    assert split(answer, 50_000) == ([answer] if answer else [])


def test_a_cut_is_between_paragraphs_else_lines_else_sentences_else_words() -> None:
    paragraph = "word " * 11 + "end"

    assert split(f"{paragraph}\n\n{paragraph}", 100) == [paragraph, paragraph]
    assert split(f"{paragraph}\n{paragraph}", 100) == [paragraph, paragraph]
    assert split(f"{paragraph}. And {paragraph}", 100) == [f"{paragraph}.", f"And {paragraph}"]
    assert split("漢字" * 35 + "。" + "漢字" * 20, 100) == ["漢字" * 35 + "。", "漢字" * 20]
    assert split("word " * 30, 100) == [("word " * 20).strip(), ("word " * 10).strip()]
    assert split("x" * 150, 100) == ["x" * 100, "x" * 50]


def test_a_heading_stays_with_what_it_is_above() -> None:
    text = "word " * 14 + "end"

    assert split(f"{text}\n\n## Next\n\n{text}", 100) == [text, f"## Next\n\n{text}"]


def test_a_list_that_fits_begins_a_new_post_with_the_line_that_announces_it() -> None:
    prose = "word " * 6 + "end."
    items = "\n".join(f"- item number {number}" for number in range(5))

    assert split(f"{prose}\n\nThe items:\n\n{items}", 110) == [prose, f"The items:\n\n{items}"]


def test_a_long_list_is_cut_between_its_items() -> None:
    items = [f"{number}. item\n   - nested {number}\n   - again {number}" for number in range(1, 9)]

    posts = split("\n".join(items), 120)

    assert len(posts) == 3
    assert all(re.match(r"\d\. item\n", post) for post in posts)


def test_what_was_nested_moves_left_at_the_top_of_a_post() -> None:
    nested = "\n".join(f"    - nested {number}" for number in range(12))

    posts = split(f"- a list\n{nested}\n- the end", 100)

    assert len(posts) == 3
    assert posts[1].startswith("- nested 6\n- nested 7\n")
    assert posts[2] == "- the end"


def test_code_in_a_list_is_opened_again_without_indentation() -> None:
    body = "\n".join(f"    line {number}:\n      deep" for number in range(12))

    posts = split(f"1. Run:\n\n    ```sh\n{body}\n    ```\n2. Done", 120)

    assert posts[0].startswith("1. Run:\n\n    ```sh\n    line 0")
    assert posts[0].endswith("\n    ```")
    assert re.fullmatch(r"```sh\n(line \d+:\n(  deep\n)?)+```", posts[1])
    assert posts[-1].endswith("\n  deep\n```\n2. Done")


def test_a_quote_that_is_cut_stays_a_quote() -> None:
    posts = split("> " + "word " * 40, 100)

    assert len(posts) == 3
    assert all(post.startswith("> word") for post in posts)


def test_code_in_a_quote_stays_in_it() -> None:
    body = "\n".join(f"> line {number}" for number in range(20))

    posts = split(f"> Look:\n> ```sh\n{body}\n> ```\n\nThat is all.", 100)

    assert all(line.startswith(">") for post in posts[:-1] for line in post.split("\n"))
    assert posts[1].startswith("> ```sh\n> line")
    assert posts[1].endswith("\n> ```")


def test_code_that_was_never_closed_is_closed() -> None:
    assert split("~~~sh\nls", 100) == ["~~~sh\nls\n~~~"]
    assert split("> ```\n> ls\n\nAfter it.", 100) == ["> ```\n> ls\n> ```\n\nAfter it."]


@pytest.mark.parametrize("piece", [*LINKS, *TOKENS])
@pytest.mark.parametrize("offset", [40, 60, 75, 79])
def test_what_stays_together_goes_into_the_next_post_whole(piece: str, offset: int) -> None:
    posts = split("x" * offset + f" ({piece}) " + "and words " * 10, 80)

    assert sum(post.count(piece) for post in posts) == 1


@pytest.mark.parametrize("grapheme", [one for one in GRAPHEMES if len(one) > 1])
@pytest.mark.parametrize("offset", range(4))
def test_no_cut_goes_through_a_grapheme(grapheme: str, offset: int) -> None:
    posts = split("x" * offset + grapheme * 60, 80)

    assert len(posts) > 1
    assert all(post.lstrip("x") == grapheme * (len(post.lstrip("x")) // len(grapheme)) for post in posts)


def test_a_link_longer_than_a_post_is_cut_all_the_same() -> None:
    address = "https://example.com/" + "a" * 300

    assert "".join(split(address, 100)) == address


def test_a_row_longer_than_a_post_is_cut_between_words() -> None:
    posts = split(f"| a |\n|---|\n| {'word ' * 40}|\n| last |", 100)

    assert all(len(post) <= 100 for post in posts)
    assert "".join(posts).count("word") == 40


@pytest.mark.parametrize("text", ["", "  \n\t ", "\u2003"])
def test_nothing_to_say_is_no_post(text: str) -> None:
    assert split(text, 100) == []


def test_a_limit_without_room_for_code_is_refused() -> None:
    with pytest.raises(ValueError, match="least is 80"):
        split("text", 10)
