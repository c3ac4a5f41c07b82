from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspy_session_bots.playground.markdown import LONGEST, sanitised, to_html

LINK = 'target="_blank" rel="noopener noreferrer nofollow"'


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("**Hi** _you_\nthere", "<p><strong>Hi</strong> <em>you</em><br>\nthere</p>\n"),
        ("<b>Hi</b>", "<p>&lt;b&gt;Hi&lt;/b&gt;</p>\n"),
        ("&lt;b&gt; &amp;", "<p>&lt;b&gt; &amp;</p>\n"),
        ("[a](https://b.example/?q=1&r=2)", f'<p><a href="https://b.example/?q=1&amp;r=2" {LINK}>a</a></p>\n'),
        ("[a](https://b.example 'c')", f'<p><a href="https://b.example" {LINK}>a</a></p>\n'),
        ("see https://b.example.", f'<p>see <a href="https://b.example" {LINK}>https://b.example</a>.</p>\n'),
        ("<mailto:a@b.example>", f'<p><a href="mailto:a@b.example" {LINK}>mailto:a@b.example</a></p>\n'),
        ("node.js or a@b.example", "<p>node.js or a@b.example</p>\n"),
        ("[a](/api/events) [b](#c) [d](//e.example)", "<p><span>a</span> <span>b</span> <span>d</span></p>\n"),
        ("[a](vscode://b) [**c**](ftp://d)", "<p><span>a</span> <span><strong>c</strong></span></p>\n"),
        ("[a](javascript:alert(1))", "<p>[a](javascript:alert(1))</p>\n"),
        ("[a](http://[::x]/)", "<p><span>a</span></p>\n"),
        ("![a](https://b.example/c.png)", f'<p><a href="https://b.example/c.png" {LINK}>a</a></p>\n'),
        ("![](https://b.example/c.png)", f'<p><a href="https://b.example/c.png" {LINK}>image</a></p>\n'),
        ("![a](data:image/png;base64,AAAA) ![b](c.png)", "<p>a b</p>\n"),
        ("[![a](https://b.example/c.png)](https://d.example)", f'<p><a href="https://d.example" {LINK}>a</a></p>\n'),
        ("```py\n<i>\n```", '<pre><code class="language-py">&lt;i&gt;\n</code></pre>\n'),
        ("```py\nunfinished", '<pre><code class="language-py">unfinished</code></pre>\n'),
    ],
)
def test_markdown_becomes_html(text: str, html: str):
    assert to_html(text) == html


def test_a_table_is_aligned_by_class():
    html = to_html("| a | b | c |\n|---|--:|:-:|\n| 1 | 2 | 3 |")
    assert '<td class="align-right">2</td>' in html
    assert '<th class="align-center">c</th>' in html
    assert "style" not in html


@pytest.mark.parametrize("text", ["x" * (LONGEST + 1), "> " * 5000 + "<b>"])
def test_what_is_too_much_is_shown_as_it_was_written(text: str):
    assert to_html(text) == f"<pre>{text.replace('<', '&lt;').replace('>', '&gt;')}</pre>"


PLAIN = ["p", "br", "hr", "em", "strong", "s", "blockquote", "ul", "li", "pre", "table", "thead", "tbody", "tr", "span"]
PLAIN += [f"h{level}" for level in range(1, 7)]
ATTRIBUTES = {"a": {"href", "target", "rel"}, "code": {"class"}, "ol": {"start"}, "th": {"class"}, "td": {"class"}}

PIECES = [*"<>\"'`*_~[]()!\n|-\\# a", "&lt;", "&#106;", "```", "](", "![", "<script>", "<img src=x onerror=y>"]
PIECES += ["javascript:", "data:text/html,", "https://b.example"]


class Reader(HTMLParser):
    """What a browser would find."""

    def handle_starttag(self, tag, attributes):
        assert tag in PLAIN or tag in ATTRIBUTES, tag
        for name, value in attributes:
            assert name in ATTRIBUTES.get(tag, ()), (tag, name)
            if name == "href":
                assert re.match(r"(https?|mailto):", value), value


@given(st.lists(st.sampled_from(PIECES), max_size=60).map("".join) | st.text())
def test_nothing_but_plain_text_comes_out_whatever_goes_in(text: str):
    Reader().feed(to_html(text))


@pytest.mark.parametrize(
    ("html", "left"),
    [
        ("<p>Hi<script>alert(1)</script></p>", "<p>Hi</p>"),
        ('<img src="x" onerror="alert(1)"><svg onload="alert(2)"></svg>', ""),
        ('<p style="color: red" onclick="alert(1)" id="chat">Hi</p>', "<p>Hi</p>"),
        ('<a href="javascript:alert(1)">a</a><a href="/api/events">b</a>', "<a>a</a><a>b</a>"),
        ('<form action="https://a.example"><button>Hi</button></form>', "Hi"),
    ],
)
def test_should_the_parser_err_the_sanitiser_does_not(html: str, left: str):
    assert sanitised(html) == left


@given(st.lists(st.sampled_from(PIECES), max_size=60).map("".join) | st.text())
def test_what_the_parser_wrote_is_left_as_it_is(text: str):
    assert sanitised(to_html(text)) == to_html(text)
