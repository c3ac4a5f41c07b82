"""An answer's Markdown as Slack's own markup, mrkdwn.

The answer is parsed as Markdown and written anew, so nothing reaches Slack that was not put there on purpose: every
``&``, ``<`` and ``>`` of the text is escaped, and all that is ever written between ``<`` and ``>`` is a web or mail
address. A model's ``<!channel>`` or ``<@U…>`` is seen as text and pings nobody.

What comes out are blocks of *atoms*: short pieces (a word, a link, a code span) that are never cut in two, so that
``split`` may break a message between any of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

LONGEST_ATOM = 300
"""Characters that stay together. Formatting that spans more is dropped rather than left open at a cut."""

LONGEST_ADDRESS = 2_000
"""Characters of an address, escaped, that is made a link; a longer one is written out."""

INDENT = "    "

ZERO_WIDTH_SPACE = "\u200b"
"""Parts formatting from a word that it touches: Slack formats whole words only."""

_MARKS = {"strong": "*", "em": "_", "s": "~"}
_ADDRESS = re.compile(r"(?:https?://|mailto:)\S+", re.IGNORECASE)
_PIECES = re.compile(rf"\S{{1,{LONGEST_ATOM}}}[^\S\n]?|[^\S\n]{{1,{LONGEST_ATOM}}}")


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, a list item or a piece of code.

    Args:
        lines: Lines of atoms.
        code: Whether the lines stand in a code block.
        quoted: Whether every line is quoted.
        tight: Whether only a line break, not an empty line, parts it from the block before.
    """

    lines: tuple[tuple[str, ...], ...]
    code: bool = False
    quoted: bool = False
    tight: bool = False


def to_blocks(markdown: str) -> list[Block]:
    """The blocks of ``markdown``, in order."""
    # A lone surrogate cannot be sent, and Slack has no use for NUL.
    text = markdown.encode("utf-8", "replace").decode().replace("\0", "")
    try:
        return list(_children(SyntaxTreeNode(_parser().parse(text))))
    except RecursionError:
        # Nobody nests formatting hundreds deep in earnest: what was written is shown as it is.
        return [Block(tuple(tuple(_text(line)) for line in text.split("\n")))]


def table_spans(markdown: str) -> list[tuple[int, int, list[str]]]:
    """The tables of ``markdown`` that stand in nothing else: their first line, the one after them, and their rows."""
    try:
        nodes = SyntaxTreeNode(_parser().parse(markdown)).children
    except RecursionError:
        return []
    return [(*node.map, list(_table(node))) for node in nodes if node.type == "table" and node.map is not None]


def code_block(lines: Iterable[str]) -> Block:
    """Lines that keep their shape."""
    return Block(tuple(_code_line(line) for line in lines), code=True)


def escape(text: str) -> str:
    """``text`` so that Slack shows it as it is."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


@cache
def _parser() -> MarkdownIt:
    # Beyond its maxNesting the parser would leave text out without a word.
    parser = MarkdownIt("commonmark", {"html": False, "linkify": True, "maxNesting": 10_000})
    parser.enable(["table", "strikethrough", "linkify"])
    if parser.linkify is not None:
        # Only what is written as an address: "node.js" and "a@b" are words.
        parser.linkify.set({"fuzzy_link": False, "fuzzy_email": False, "fuzzy_ip": False})
    return parser


# Blocks


def _blocks(node: SyntaxTreeNode) -> Iterator[Block]:
    match node.type:
        case "paragraph":
            yield Block(_lines(_inline(node.children)))
        case "heading":
            yield Block(_lines(_marked("*", _inline(node.children, frozenset({"*"})))))
        case "fence" | "code_block":
            yield code_block(node.content.rstrip("\n").split("\n"))
        case "blockquote":
            for block in _children(node):
                yield replace(block, quoted=not block.code)
        case "bullet_list" | "ordered_list":
            yield from _list(node)
        case "table":
            yield code_block(_table(node))
        case "hr":
            yield Block((("———",),))
        case _:
            yield Block(_lines(_text(node.content)))


def _children(node: SyntaxTreeNode) -> Iterator[Block]:
    for child in node.children:
        yield from _blocks(child)


def _list(node: SyntaxTreeNode) -> Iterator[Block]:
    first = int(node.attrs.get("start", 1))
    for number, item in enumerate(node.children, first):
        marker = "• " if node.type == "bullet_list" else f"{number}. "
        blocks = list(_children(item))
        if not blocks or blocks[0].code:
            blocks.insert(0, Block(((),)))
        for position, block in enumerate(blocks):
            if block.code:
                yield replace(block, tight=True)
                continue
            start = marker if position == 0 else INDENT
            lines = tuple(((start if row == 0 else INDENT), *line) for row, line in enumerate(block.lines))
            yield replace(block, lines=lines, tight=position > 0 or number > first or node.level > 0)


def _table(node: SyntaxTreeNode) -> Iterator[str]:
    """The rows as lines of equal columns: Slack has no tables, but code keeps its shape."""
    rows = [[_plain(cell) for cell in row.children] for part in node.children for row in part.children]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        yield " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        if number == 0:
            yield "-+-".join("-" * width for width in widths)


def _plain(node: SyntaxTreeNode) -> str:
    """The text of a cell, without formatting."""
    if node.children:
        return "".join(map(_plain, node.children))
    return " " if node.type in ("softbreak", "hardbreak") else node.content


def _code_line(line: str) -> tuple[str, ...]:
    line = _unfenced(line)
    return tuple(escape(line[at : at + LONGEST_ATOM]) for at in range(0, len(line), LONGEST_ATOM))


# Within a line


def _inline(nodes: Sequence[SyntaxTreeNode], open_marks: frozenset[str] = frozenset()) -> list[str]:
    atoms: list[str] = []
    for node in nodes:
        piece = _piece(node, open_marks)
        if atoms and piece and _would_stick(atoms[-1], piece[0]):
            atoms.append(ZERO_WIDTH_SPACE)
        atoms += piece
    return atoms


def _piece(node: SyntaxTreeNode, open_marks: frozenset[str]) -> list[str]:
    match node.type:
        case "inline":
            return _inline(node.children, open_marks)
        case "strong" | "em" | "s":
            mark = _MARKS[node.type]
            inner = _inline(node.children, open_marks | {mark})
            return inner if mark in open_marks else _marked(mark, inner)
        case "code_inline":
            return _code_span(node.content)
        case "link":
            return _link(str(node.attrs.get("href", "")), _inline(node.children, open_marks))
        case "image":
            return _link(str(node.attrs.get("src", "")), _text(_plain(node) or node.content))
        case "softbreak" | "hardbreak":
            # Slack ends formatting at the end of a line.
            return [" "] if open_marks else ["\n"]
        case _:
            return _text(node.content)


def _text(text: str) -> list[str]:
    return [escape(piece) for piece in _PIECES.findall(_unfenced(text))]


def _unfenced(text: str) -> str:
    """Three backticks begin or end a code block, wherever they stand: here they are text, and stand apart."""
    return text.replace("```", ZERO_WIDTH_SPACE.join("```"))


def _marked(mark: str, atoms: list[str]) -> list[str]:
    text = "".join(atoms).strip()
    if not text or len(text) > LONGEST_ATOM:
        return atoms
    return [f"{mark}{text}{mark}"]


def _code_span(code: str) -> list[str]:
    # Slack has no way to write a backtick within code.
    return _text(code) if "`" in code or len(code) > LONGEST_ATOM else [f"`{escape(code)}`"]


def _link(address: str, label: list[str]) -> list[str]:
    if not _ADDRESS.fullmatch(address):
        return [*label, *_text(f" ({address})")] if 0 < len(address) <= LONGEST_ATOM else label
    text = " ".join("".join(label).split())
    target = escape(address.replace("|", "%7C").replace("<", "%3C").replace(">", "%3E"))
    if len(target) > LONGEST_ADDRESS:
        return [*label, *_text(f" ({address})")]
    if not text or "<" in text or text in (target, target.removeprefix("mailto:")):
        return [f"<{target}>"]
    if len(text) > LONGEST_ATOM:
        return [*label, " (", f"<{target}>", ")"]
    return [f"<{target}|{text}>"]


def _would_stick(before: str, after: str) -> bool:
    """Whether a mark between two pieces touches a word, where Slack shows it instead of formatting, or another mark."""
    marks = tuple(_MARKS.values())
    return (
        (before.endswith(marks) and after[:1].isalnum())
        or (before[-1:].isalnum() and after.startswith(marks))
        or (before.endswith("`") and after.startswith("`"))
    )


def _lines(atoms: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    lines: list[list[str]] = [[]]
    for atom in atoms:
        if atom == "\n":
            lines.append([])
        else:
            lines[-1].append(atom)
    return tuple(map(tuple, lines))
