from __future__ import annotations

import html
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dspy_session_slack.outbound.split import LIMIT, to_messages

LINK = re.compile(r"<(?:https?://|mailto:)[^<>|\s]+(?:\|[^<>\n]+)?>", re.IGNORECASE)


def rendered(markdown: str) -> str:
    return "\n-----\n".join(to_messages(markdown))


@pytest.mark.parametrize(
    ("markdown", "mrkdwn"),
    [
        ("plain", "plain"),
        ("**bold** and __bold__", "*bold* and *bold*"),
        ("*italic* and _italic_", "_italic_ and _italic_"),
        ("***both***", "_*both*_"),
        ("**bold _and_ `code`**", "*bold _and_ `code`*"),
        ("~~gone~~", "~gone~"),
        ("foo**bar**baz", "foo\u200b*bar*\u200bbaz"),
        ("snake_case_name and 2 * 3 * 4", "snake_case_name and 2 * 3 * 4"),
        ("`a < b && c`", "`a &lt; b &amp;&amp; c`"),
        ("``a ` b``", "a ` b"),
        (r"\`\``code`", "``\u200b`code`"),
        (r"\`\`\`", "`\u200b`\u200b`"),
        ("# Title", "*Title*"),
        ("## A **bold** title", "*A bold title*"),
        ("line one\nline two", "line one\nline two"),
        ("one\n\ntwo", "one\n\ntwo"),
        ("**over\ntwo lines**", "*over two lines*"),
        ("> quoted\n> **twice**", "> quoted\n> *twice*"),
        ("---", "———"),
        ("- a\n- b\n  - c\n- d", "• a\n• b\n    • c\n• d"),
        ("1. a\n2. b\n\n   more", "1. a\n2. b\n    more"),
        ("7. seven\n8. eight", "7. seven\n8. eight"),
        ("before\n- a", "before\n\n• a"),
        ("-\n- b", "•\n• b"),
        ("1. ```\n   code\n   ```", "1.\n```\ncode\n```"),
        ("```python\nx = 1 < 2\n```", "```\nx = 1 &lt; 2\n```"),
        ("    indented code", "```\nindented code\n```"),
        ("~~~\na ``` b\n~~~", "```\na `\u200b`\u200b` b\n```"),
        ("| a | b |\n|---|---|\n| long | **x** |", "```\na    | b\n-----+--\nlong | x\n```"),
        ("[site](https://example.com/?a=1&b=2)", "<https://example.com/?a=1&amp;b=2|site>"),
        ("[**bold** link](https://example.com)", "<https://example.com|*bold* link>"),
        ("https://example.com/a_b_c.", "<https://example.com/a_b_c>."),
        ("<https://example.com>", "<https://example.com>"),
        ("<ann@example.com>", "<mailto:ann@example.com>"),
        ("![a chart](https://example.com/c.png)", "<https://example.com/c.png|a chart>"),
        ("[docs](/docs/page)", "docs (/docs/page)"),
        ("node.js and a@b.c", "node.js and a@b.c"),
        (r"\*literal\*", "*literal*"),
        ("&lt;tag&gt; &amp;", "&lt;tag&gt; &amp;"),
        ("<b>html</b>", "&lt;b&gt;html&lt;/b&gt;"),
        ("", ""),
        ("  \n\n ", ""),
    ],
)
def test_markdown_in_slacks_words(markdown: str, mrkdwn: str):
    assert rendered(markdown) == mrkdwn


@pytest.mark.parametrize(
    "hostile",
    [
        "<!channel>",
        "<!here|here>",
        "<!everyone>",
        "<!subteam^S123|@ops>",
        "<@U123>",
        "<@U123|ann>",
        "<#C123>",
        "&lt;!channel&gt;",
        r"\<!channel>",
        "`<!channel>`",
        "```\n<!channel>\n```",
        "    <!channel>",
        "**<!channel>**",
        "# <!channel>",
        "- <!channel>",
        "> <!channel>",
        "| <!channel> |\n|---|\n| <!here> |",
        "[<!channel>](https://example.com)",
        "[x](https://example.com|<!channel>)",
        "[x](<https://example.com><!channel>)",
        "[x](<https://example.com/|<!channel>>)",
        "![<!channel>](https://example.com)",
        "![x](https://example.com '<!channel>')",
        "<https://example.com|<!channel>>",
        "https://example.com/<!channel>",
        "[x](javascript:alert(1))",
        "<!date^1^{date}|x>",
        "[a]: <!channel>\n\n[a]",
        "<!-- <!channel> -->",
        "a\0<!channel>",
        "\ud800<!channel>",
    ],
)
def test_no_markup_gets_out_but_links(hostile: str):
    text = rendered(hostile)

    assert "<" not in LINK.sub("", text)
    assert "<!" not in text
    assert "<@" not in text
    assert "javascript:alert" not in text or "<" not in text
    text.encode()


def test_a_picture_without_an_address_is_left_out():
    assert rendered(f"![chart](data:image/png;base64,{'A' * 1000}) below") == "chart below"


fragments = st.sampled_from(
    [
        "*",
        "_",
        "~",
        "`",
        "#",
        ">",
        "-",
        "|",
        "[",
        "]",
        "(",
        ")",
        "<",
        ">",
        "!",
        "&",
        "\\",
        "@",
        ":",
        ".",
        "**",
        "```",
        "~~~",
        "1.",
        "](",
        "![",
        "|---|",
        "https://x.y/z",
        "mailto:a@b.c",
        "&lt;",
        "<!channel>",
        "<@U1>",
        "word",
        "日本語",
    ]
)
spaces = st.sampled_from(["\n", "\t", " ", "\n\n", "    ", "\u200b", "\ud800", "\0"])
markdown_like = st.lists(fragments | spaces | st.text(max_size=8), max_size=60).map("".join)


@settings(max_examples=40)
@given(markdown_like)
def test_whatever_a_model_writes_slack_can_take(markdown: str):
    for text in to_messages(markdown):
        assert 0 < len(text) <= LIMIT
        assert text.strip()
        assert "<" not in LINK.sub("", text)
        assert not re.sub(r"&(?:amp|lt|gt);", "", text).count("&")
        fences = len(re.findall(r"^```$", text, re.MULTILINE))
        assert text.count("```") == fences
        assert fences % 2 == 0
        text.encode()


@settings(max_examples=40)
@given(st.lists(st.from_regex(r"[A-Za-z0-9<&>]{1,400}", fullmatch=True), min_size=1, max_size=80))
def test_no_word_is_lost_or_moved(words: list[str]):
    messages = to_messages("word " + " ".join(words))

    text = html.unescape("".join(re.sub(r"\s", "", message) for message in messages))
    assert text == "word" + "".join(words)
