"""Whether a text leads nowhere but where it says: asked of the text as it is posted, with parsers that others use."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from dspy_session_chat.markup.commonmark import everything, finding_addresses
from dspy_session_chat.markup.link import Target, is_invisible, pretends


def is_honest(text: str, allow_hosts: Collection[str]) -> bool:
    """Whether no parser finds anything in ``text`` that should not be there.

    Args:
        text: Markdown.
        allow_hosts: Hosts whose images may be there.
    """
    return all(
        _leads_where_it_says(href, shown, allow_hosts)
        for parser in (everything(), finding_addresses())
        for block in parser.parse(text)
        for href, shown in _links(block.children or ())
    )


def _leads_where_it_says(href: str, shown: str | None, allow_hosts: Collection[str]) -> bool:
    target = Target.of(href)
    if shown is None:
        return target.is_on(allow_hosts)
    return target.kind != "other" and not (target.user_info or is_invisible(shown) or pretends(shown, target))


def _links(tokens: Sequence[Any]) -> Iterator[tuple[str, str | None]]:
    """The addresses that a line leads to, each with the text that is shown for it; None for an image. A bare address
    is its own text.
    """
    href, shown = "", ""
    for token in tokens:
        match token.type:
            case "link_open":
                href, shown = str(token.attrs.get("href", "")), ""
            case "link_close" if token.markup != "linkify":
                yield href, shown
            case "image":
                yield str(token.attrs.get("src", "")), None
                shown += token.content
            case "softbreak" | "hardbreak":
                shown += " "
            case _:
                shown += token.content
