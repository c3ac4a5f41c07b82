"""An answer's Markdown as HTML that can do no harm.

The parser is markdown-it-py with HTML switched off, so every tag in the page is one that the parser wrote. An image
would be fetched without being asked for, and so could carry off what was said in its address: it becomes a link. What
comes out goes through nh3, which knows nothing of Markdown: should one of the two ever err, the other one does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from html import escape
from urllib.parse import urlsplit

import nh3
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token

LONGEST = 50_000
"""Characters that are parsed; what is longer is shown as it was written, for it would hold up everybody else."""

_SCHEMES = ("http", "https", "mailto")
_TAGS = {
    *("a", "blockquote", "br", "code", "em", "hr", "li", "ol", "p", "pre", "s", "span", "strong", "ul"),
    *("h1", "h2", "h3", "h4", "h5", "h6", "table", "tbody", "td", "th", "thead", "tr"),
}
_ATTRIBUTES = {"a": {"href", "target", "rel"}, "code": {"class"}, "ol": {"start"}, "td": {"class"}, "th": {"class"}}
_LINK = {"target": "_blank", "rel": "noopener noreferrer nofollow"}


def to_html(text: str) -> str:
    """``text``, Markdown that may be unfinished, as HTML."""
    if len(text) <= LONGEST:
        try:
            return sanitised(str(_parser().render(text)))
        except RecursionError:  # nested hundreds deep
            pass
    return f"<pre>{escape(text)}</pre>"


def sanitised(html: str) -> str:
    """``html`` with nothing but what Markdown can be."""
    return _cleaner().clean(html)


@cache
def _cleaner() -> nh3.Cleaner:
    return nh3.Cleaner(
        tags=_TAGS, attributes=_ATTRIBUTES, url_schemes=set(_SCHEMES), url_relative="deny", link_rel=None
    )


@cache
def _parser() -> MarkdownIt:
    # Beyond its maxNesting the parser would leave text out without a word.
    parser = MarkdownIt("js-default", {"html": False, "linkify": True, "breaks": True, "maxNesting": 10_000})
    if parser.linkify is not None:
        # Only what is written as an address: "node.js" and "a@b" are words.
        parser.linkify.set({"fuzzy_link": False, "fuzzy_email": False, "fuzzy_ip": False})
    parser.core.ruler.push("safe", _make_safe)
    return parser


def _make_safe(state: StateCore) -> None:
    for block in state.tokens:
        if block.children:
            block.children = list(_safe(block.children))
        # A table's columns are aligned by a style attribute, and the page admits no inline style.
        style = str(block.attrs.pop("style", ""))
        if style:
            block.attrs["class"] = style.replace("text-align:", "align-")


def _safe(tokens: Sequence[Token]) -> Iterator[Token]:
    within = False  # a link, and a link holds no other
    tag = "a"
    for token in tokens:
        if token.type == "link_open":
            within, tag = True, _dress(token)
        elif token.type == "link_close":
            within, token.tag = False, tag
        elif token.type == "image":
            yield from _image_link(token, within=within)
            continue
        yield token


def _dress(link: Token) -> str:
    """Make a link open elsewhere, without a word about us; a link that leads to no web or mail address is none."""
    href = str(link.attrs.get("href", ""))
    if leads_out(href):
        link.attrs = {"href": href, **_LINK}
    else:
        link.tag, link.attrs = "span", {}
    return link.tag


def _image_link(image: Token, *, within: bool) -> Iterator[Token]:
    source = str(image.attrs.get("src", ""))
    linked = leads_out(source) and not within
    if linked:
        yield Token("link_open", "a", 1, attrs={"href": source, **_LINK})
    yield Token("text", "", 0, content=image.content or "image")
    if linked:
        yield Token("link_close", "a", -1)


def leads_out(url: str) -> bool:
    """Whether ``url`` is a web or mail address."""
    try:
        return urlsplit(url).scheme in _SCHEMES
    except ValueError:
        return False
