"""An answer while it is written, shown as if it ended here."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from dspy_session_chat.markup.fences import code_blocks
from dspy_session_chat.markup.unfinished import finished
from tests.chat.markdown import ANSWER

HALF = [
    # formatting
    ("**bo", "**bo**"),
    ("**bold*", "**bold**"),
    ("**bold** and *it", "**bold** and *it*"),
    ("***a**", "***a***"),
    ("**bold ", "**bold**"),
    ("**bold\n", "**bold**"),
    ("**bold \\", "**bold**"),
    ("~~gone", "~~gone~~"),
    ("_so", "_so_"),
    ("**a *b", "**a *b***"),
    ("这是**粗", "这是**粗**"),
    ("text **", "text"),
    ("(see *", "(see"),
    ("> **quo", "> **quo**"),
    ("- one\n- **two", "- one\n- **two**"),
    # code
    ("`co", "`co`"),
    ("``co`", "``co``"),
    ("\\``", "\\`"),
    ("**a `b", "**a `b`**"),
    ("say `", "say"),
    ("say\n``", "say"),
    ("say\n```", "say"),
    ("say\n```py", "say"),
    ("say\n```py\n", "say"),
    ("say\n```py\nx = 1", "say\n```py\nx = 1\n```"),
    ("say\n```py\nx = 1\n``", "say\n```py\nx = 1\n```"),
    ("~~~\nx\n```", "~~~\nx\n```\n~~~"),
    ("> ```sh\n> ls", "> ```sh\n> ls\n> ```"),
    ("1. do\n   ```sh\n   ls", "1. do\n   ```sh\n   ls\n   ```"),
    # links
    ("see [the man", "see the man"),
    ("see [the manual](", "see the manual"),
    ("see [the manual](https://exam", "see the manual"),
    ("![a pic](https://", "a pic"),
    ("[![badge](", "badge"),
    ("[![badge](https://example.com/b.svg)](ht", "![badge](https://example.com/b.svg)"),
    ("**[bold](ht", "**bold**"),
    ("see [**bold", "see **bold**"),
    ("**[", ""),
    # tables
    ("Look:\n\n| a | b", "Look:"),
    ("Look:\n\n| a | b |\n", "Look:"),
    ("Look:\n\n| a | b |\n|--", "Look:"),
    ("| a | b |\n|---|---|\n| 1", "| a | b |\n|---|---|"),
    ("| a | b |\n|---|---|\n| 1 | 2 |\n| 3 |", "| a | b |\n|---|---|\n| 1 | 2 |"),
    # tokens, markers and characters
    ("hi <@12", "hi"),
    ("hi <:smi", "hi"),
    ('hi <a href="x y', "hi"),
    ("hi <", "hi"),
    ("- one\n- ", "- one"),
    ("- one\n- [ ", "- one"),
    ("text\n\n##", "text"),
    ("a\ud83d", "a"),
    ("\U0001f469\u200d", "\U0001f469"),
    ("\U0001f1e9\U0001f1ea\U0001f1eb", "\U0001f1e9\U0001f1ea"),
]

WHOLE = [
    "",
    "2*3 = 6 and 5 * 4",
    "snake_case and __init__",
    "1 < 2 and 3 > 2",
    "It costs 5 €*",
    "as they say [1]",
    "The year was\n1984.",
    "Title\n===",
    "text\n\n---",
    "text\n\n***",
    "**open in a paragraph that is over\n\nNext.",
    "a\\*b \\[c",
    "`**` is bold",
    "https://example.com/a_b_c",
    "[a](https://example.com/a_(b)_c)",
    "| a |\n|---|\n| 1 |",
    "| a | b |\n|---|---|",
    "```\n**open in code\n```",
    "line\n",
    "x <3",
]


@pytest.mark.parametrize(("half", "shown"), HALF)
def test_what_is_half_there_is_closed_or_held_back(half: str, shown: str) -> None:
    assert finished(half) == shown


@pytest.mark.parametrize("text", WHOLE)
def test_what_is_complete_stays_as_it_is(text: str) -> None:
    assert finished(text) == text


@given(ANSWER)
def test_a_complete_answer_stays_as_it_is(answer: str) -> None:
    assert finished(answer) == answer


@given(ANSWER.filter(bool), st.data())
def test_no_view_shows_anything_half(answer: str, data: st.DataObject) -> None:
    view = finished(answer[: data.draw(st.integers(0, len(answer)))])

    assert all(code.closed for code in code_blocks(view))
    outside = re.sub(r"(?ms)^[> ]*(```+|~~~)\w*\+*$.*?^[> ]*\1$", "", view)
    assert outside.count("**") % 2 == 0
    assert outside.count("`") % 2 == 0
    assert "](http" not in re.sub(r"\]\(https://[^\s()]*(\([^\s()]*\)[^\s()]*)?\)", "", outside)
    assert finished(view) == view


@given(ANSWER, st.data())
def test_code_is_never_taken_for_text_nor_text_for_code(answer: str, data: st.DataObject) -> None:
    """The parser finds the same headings, and no code that the answer has not."""
    parser = MarkdownIt("commonmark").enable("table")
    place = data.draw(st.integers(0, len(answer)))
    whole = [token.type for token in parser.parse(answer)]
    view = [token.type for token in parser.parse(finished(answer[:place]))]

    for kind in ("fence", "heading_open", "table_open"):
        assert view.count(kind) <= whole.count(kind)


@given(st.text(st.sampled_from("`~>|-[]()*_ \n\t1.a#:!<\\\U0001f1e9\u200d\ud83d"), max_size=300))
def test_markup_run_wild_is_shown_with_its_code_closed(text: str) -> None:
    view = finished(text)

    assert all(code.closed for code in code_blocks(view) if code.end == len(view))
    assert len(view) <= 2 * len(text) + 10


def test_nothing_is_said_twice_nor_lost_while_an_answer_grows() -> None:
    code, table = "```sh\nls -l\n```", "| a | b |\n|---|---|\n| 1 | 2 |"
    answer = f"# On **names**\n\nRead [the guide](https://example.com), then:\n\n{code}\n\n{table}\n"
    views = [finished(answer[:place]) for place in range(len(answer) + 1)]

    assert views[-1] == answer
    words = [re.findall(r"\w+", re.sub(r"\(https?:[^)]*\)", "", view)) for view in views]
    assert all(later[: len(sooner) - 1] == sooner[:-1] for sooner, later in pairwise(words) if sooner)
