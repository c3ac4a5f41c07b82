"""Markdown as parsers read it: CommonMark with tables, and with addresses that are links of themselves.

A parser compiles its rules while it parses, and finds addresses in a place of its own, so each thread has its own.
"""

from __future__ import annotations

from functools import lru_cache
from threading import get_ident
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

THREADS = 64
"""Threads whose parsers are kept; an event loop has a few dozen of them at most."""


def blocks_alone() -> MarkdownIt:
    """A parser that leaves what stands in paragraphs as it is."""
    return _permissive(get_ident(), inline=False)


def everything() -> MarkdownIt:
    """A parser that takes every address for one: others' parsers may."""
    return _permissive(get_ident(), inline=True)


def finding_addresses() -> MarkdownIt:
    """A parser that makes links of bare addresses, as platforms do: such an address may swallow a backtick, and what
    others read as code is none then.
    """
    return _finding_addresses(get_ident())


def last_block(markdown: str) -> int:
    """Where the last block of a text begins that stands in no other one: what comes before it stays as it is."""
    try:
        tokens = blocks_alone().parse(markdown)
    except RecursionError:  # nested hundreds deep
        return 0
    blocks = [token.map[0] for token in tokens if token.level == 0 and token.map]
    return sum(len(line) + 1 for line in markdown.split("\n")[: max(blocks, default=0)])


@lru_cache(maxsize=2 * THREADS)
def _permissive(thread: int, *, inline: bool) -> MarkdownIt:  # noqa: ARG001  # for which it is made
    from markdown_it import MarkdownIt

    class Permissive(MarkdownIt):
        def validateLink(self, url: str) -> bool:  # noqa: N802  # markdown-it's own name
            return True

    # Beyond its maxNesting the parser would leave text out without a word.
    parser = Permissive("commonmark", {"html": False, "maxNesting": 10_000}).enable(["table", "strikethrough"])
    return parser if inline else parser.disable(["inline", "text_join"])


@lru_cache(maxsize=THREADS)
def _finding_addresses(thread: int) -> MarkdownIt:  # noqa: ARG001  # as above
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False, "linkify": True, "maxNesting": 10_000})
    return parser.enable(["table", "strikethrough", "linkify"])
