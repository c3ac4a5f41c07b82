"""Answers as agents write them, generated."""

from __future__ import annotations

from hypothesis import strategies as st

GRAPHEMES = ["a", "é", "e\u0301", "漢", "😀", "👍🏽", "👩‍👩‍👧", "🇩🇪", "❤️", "क्षि", "🏴\U000e0067\U000e0062\U000e007f"]

LINKS = [
    "[the manual](https://example.com/manual_(v2)?page=1#here)",
    "![a picture of it](https://example.com/a.png)",
    "[![badge](https://example.com/b.svg)](https://example.com)",
    "https://example.com/a/path?with=query&and=more",
]
TOKENS = ["<@123456>", "<:party_blob:123456789>", "<#99>", ":smile:", "`a span of code`", "**two bold words**"]
WORDS = st.sampled_from(["word", "It", "ends.", "Really?", "漢字かな交じり文。", "longer-than-most-words", *GRAPHEMES])
LONG = st.sampled_from(GRAPHEMES).map(lambda grapheme: grapheme * 60)

INLINE = st.lists(WORDS | WORDS | WORDS | st.sampled_from(LINKS + TOKENS), min_size=1, max_size=25).map(" ".join)
PARAGRAPH = st.lists(INLINE | LONG, min_size=1, max_size=3).map("\n".join)
HEADING = INLINE.map(lambda text: f"## {text}")
QUOTE = PARAGRAPH.map(lambda text: "\n".join(f"> {line}" for line in text.split("\n")))
CODE_LINES = st.lists(
    st.sampled_from(
        ["x = 1", "    return [x](y)", "", "| a | b |", "# **no** heading", "- no item", "y" * 120, "漢" * 50]
    ),
    min_size=1,
    max_size=15,
).map(lambda lines: "\n".join(["begin", *lines]))
CODE = st.builds(
    lambda marks, language, body: f"{marks}{language}\n{body}\n{marks}",
    st.sampled_from(["```", "````", "~~~"]),
    st.sampled_from(["", "python", "c++"]),
    CODE_LINES,
)
NESTED_CODE = CODE_LINES.map(lambda body: f"````markdown\n```sh\n{body}\n```\n````")
LIST = st.lists(st.tuples(st.sampled_from(["- ", "  - ", "1. "]), INLINE), min_size=1, max_size=8).map(
    lambda items: "\n".join(marker + text for marker, text in items)
)
LIST_WITH_CODE = CODE_LINES.map(
    lambda body: "1. First:\n" + "\n".join(f"   {line}" for line in f"```sh\n{body}\n```".split("\n")) + "\n2. Second"
)
CELL = st.sampled_from(["one", "two words", "42", "漢字", "`x`"])
TABLE = st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=12).map(
    lambda rows: "| a | b | c |\n|---|:--|--:|\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows)
)
BLOCK = st.one_of(PARAGRAPH, HEADING, QUOTE, CODE, NESTED_CODE, LIST, LIST_WITH_CODE, TABLE)
ANSWER = st.lists(BLOCK, max_size=6).map("\n\n".join)
"""A whole answer, well-formed."""
