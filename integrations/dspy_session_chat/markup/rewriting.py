"""Links, images and tags rewritten where they stand, so that they say where they lead, and nothing is fetched unasked.

An image becomes a link, a link that shows another host than it leads to shows the real one as well, one that shows
nothing shows its host, and one that leads to no web or mail address becomes text. Code is left alone.
"""

from __future__ import annotations

import html
import re
from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from dspy_session_chat.markup.commonmark import blocks_alone
from dspy_session_chat.markup.link import Target, is_invisible, pretends
from dspy_session_chat.markup.user_info import USER_INFO, ats

_DEEPEST = 20
"""Brackets within brackets, or never closed, in a paragraph: parsers look for the end of each, so that a few hundred in
a paragraph hold up everybody else. What has more of them has its brackets escaped, which reads the same."""

_SPECIAL = re.compile(r"[\\<!\[\]]|`+|https?://", re.IGNORECASE)
_BRACKET = re.compile(r"\\.|[\[\]]", re.DOTALL)
_LABEL = re.compile(r"\[((?:[^\[\]\\]|\\.)*)\]", re.DOTALL)
_AUTOLINK = re.compile(r"<([A-Za-z][A-Za-z0-9+.-]{1,31}:[^\s<>]*)>")
_IMG = re.compile(r"<img\b[^<>]{0,4000}>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""\b(src|alt)\s*=\s*("[^"]*"|'[^']*'|[^\s"'>]+)""", re.IGNORECASE)
_TAG = re.compile(
    r"</?(?:a|applet|audio|base|body|embed|form|frame|iframe|image|img|input|link|meta|object|picture|script|source"
    r"|style|svg|track|video)(?=[\s/>]|\Z)",
    re.IGNORECASE,
)
"""HTML that loads something or leads somewhere."""


class TooDeepError(Exception):
    """Brackets are nested deeper than anybody means them to be."""


def rewritten(text: str, allow_hosts: Collection[str]) -> str:
    """``text`` with everything put right that is found to be wrong.

    Args:
        text: Markdown.
        allow_hosts: Hosts whose images stay images.

    Raises:
        TooDeepError: Nobody means its brackets in earnest.
    """
    env: dict[str, Any] = {}
    tokens = blocks_alone().parse(text, env)
    if any(_depth(token.content) > _DEEPEST for token in tokens if token.type == "inline"):
        raise TooDeepError
    references = env.get("references", {})
    definitions = [*references.values(), *env.get("duplicate_refs", ())]
    kept = [token.map for token in tokens if token.type == "fence" and token.map]
    kept += [definition["map"] for definition in definitions]
    # A paragraph is looked at as a whole, and every other line, be it a table's, by itself.
    paragraphs = {(token.map[0], token.map[1]) for token in tokens if token.type == "inline" and token.map}
    lines = text.split("\n")
    starts = {0, len(lines)} | {place for area in (*kept, *paragraphs) for place in area}
    inside = {line for begin, end in paragraphs for line in range(begin + 1, end)}
    starts |= set(range(len(lines))) - inside
    untouched = {line for begin, end in kept for line in range(begin, end)}
    hrefs = {label: str(reference["href"]) for label, reference in references.items()}
    parts = []
    for begin, end in pairwise(sorted(starts)):
        part = "\n".join(lines[begin:end])
        parts.append(part if begin in untouched else _Rewriting(part, hrefs, allow_hosts).result())
    return "\n".join(parts)


def _depth(text: str) -> int:
    """How many brackets are open at once, at most."""
    deepest = depth = 0
    for found in _BRACKET.finditer(text):
        if found.group() == "[":
            depth += 1
        elif found.group() == "]":
            depth = max(0, depth - 1)
        deepest = max(deepest, depth)
    return deepest


@dataclass(slots=True)
class _Span:
    """A link, an image or a tag, by its places in the text.

    Args:
        start: Where it begins.
        end: Where it ends.
        href: Where it leads.
        image: Whether it is an image.
        text: Where its text begins and ends; None for an address in angle brackets and for a tag.
        reference: Whether its address stands elsewhere.
        tag: Whether it is a tag.
        alt: The text of a tag.
        inner: What its text contains.
    """

    start: int
    end: int
    href: str
    image: bool = False
    text: tuple[int, int] | None = None
    reference: bool = False
    tag: bool = False
    alt: str = ""
    inner: list[_Span] = field(default_factory=list)


@dataclass(slots=True)
class _Opener:
    place: int
    image: bool
    active: bool = True


class _Rewriting:
    def __init__(self, text: str, references: Mapping[str, str], allow_hosts: Collection[str]) -> None:
        self._text = text
        self._references = references
        self._allow_hosts = allow_hosts
        self._openers: list[_Opener] = []
        self._spans: list[_Span] = []
        self._never_closed: set[int] = set()
        self._edits: list[tuple[int, int, str]] = []

    def result(self) -> str:
        """The text, rewritten."""
        place = 0
        while found := _SPECIAL.search(self._text, place):
            place = self._read(found)
        self._edits = sorted(set(self._edits))
        return self._shown(0, len(self._text), self._spans, in_link=False)

    def _read(self, found: re.Match[str]) -> int:
        """Take note of what was found; the place to go on from."""
        text, start, end = self._text, found.start(), found.end()
        match found.group()[0]:
            case "\\":
                return end + 1
            case "`":
                return self._after_code(start, end)
            case "<":
                return self._read_angle(start)
            case "!" if text.startswith("[", end):
                self._openers.append(_Opener(start, image=True))
                return end + 1
            case "[":
                self._openers.append(_Opener(start, image=False))
            case "]" if self._openers:
                return self._close(start)
            case "h" | "H":
                return self._read_address(start, end)
        return end

    def _read_address(self, start: int, end: int) -> int:
        """Look at an address that stands in the text: what comes before an @ is no host, but reads like one."""
        if user_info := USER_INFO.match(self._text, start):
            self._edits.append((start, user_info.end(), user_info.group(1)))
            return user_info.end()
        # Where it is not clear what belongs to the address, a space ends it.
        self._edits += [(place, place, " ") for place in ats(self._text, end)]
        return end

    def _after_code(self, start: int, end: int) -> int:
        """The end of a code span, or of the backticks that begin none."""
        ticks = end - start
        if ticks not in self._never_closed:
            for run in re.finditer("`+", self._text[end:]):
                if len(run.group()) == ticks:
                    return end + run.end()
            self._never_closed.add(ticks)
        return end

    def _read_angle(self, start: int) -> int:
        if link := _AUTOLINK.match(self._text, start):
            self._spans.append(_Span(start, link.end(), link.group(1)))
            return link.end()
        if tag := _IMG.match(self._text, start):
            found = {name.lower(): html.unescape(value.strip("\"'")) for name, value in _ATTRIBUTE.findall(tag.group())}
            image = _Span(start, tag.end(), found.get("src", ""), image=True, tag=True, alt=found.get("alt", ""))
            self._spans.append(image)
            return tag.end()
        if tag := _TAG.match(self._text, start):
            self._edits.append((start, start + 1, "\\<"))
        return start + 1

    def _close(self, place: int) -> int:
        """Take note of the link or image whose text ends at ``place``, if there is one."""
        opener = self._openers.pop()
        begin = opener.place + (2 if opener.image else 1)
        end, href, reference = self._target(begin, place) if opener.active else (0, "", False)
        if not end:
            return place + 1
        inner: list[_Span] = []
        while self._spans and self._spans[-1].start >= begin:
            inner.insert(0, self._spans.pop())
        span = _Span(opener.place, end, href, opener.image, (begin, place), reference, inner=inner)
        self._spans.append(span)
        if not opener.image:  # a link is in no other link
            for outer in self._openers:
                outer.active = outer.active and outer.image
        return end

    def _target(self, begin: int, close: int) -> tuple[int, str, bool]:
        """Where a link ends whose text lies between two places, its address, and whether that stands elsewhere."""
        from markdown_it.common.utils import normalizeReference
        from markdown_it.helpers import parseLinkDestination, parseLinkTitle

        text, place = self._text, close + 1
        if text.startswith("(", place):
            place = _after_space(text, place + 1)
            destination = parseLinkDestination(text, place, len(text))
            if destination.ok:
                place = _after_space(text, destination.pos)
                title = parseLinkTitle(text, place, len(text))
                if title.ok:
                    place = _after_space(text, title.pos)
            if text.startswith(")", place):
                return place + 1, destination.str if destination.ok else "", False
        if not self._references:
            return 0, "", False
        label, end = text[begin:close], close + 1
        if explicit := _LABEL.match(text, end):
            label, end = explicit.group(1) or label, explicit.end()
        href = self._references.get(normalizeReference(label))
        return (0, "", False) if href is None else (end, href, True)

    # --- writing ---

    def _shown(self, begin: int, end: int, spans: Sequence[_Span], *, in_link: bool) -> str:
        """The text between two places, with what it contains put right."""
        pieces, place = [], begin
        for span in spans:
            plain = self._plain(place, span.start)
            shown = self._span(span, in_link=in_link)
            if span.image and not span.tag and shown.startswith("[") and plain.endswith("!"):
                plain = plain[:-1] + ("!" if _is_escaped(plain, len(plain) - 1) else "\\!")
            pieces += [plain, shown]
            place = span.end
        return "".join([*pieces, self._plain(place, end)])

    def _plain(self, begin: int, end: int) -> str:
        pieces, place = [], begin
        for number in range(bisect_left(self._edits, (begin,)), len(self._edits)):
            start, stop, instead = self._edits[number]
            if start > end:
                break
            if stop <= end:
                pieces += [self._text[place:start], instead]
                place = stop
        return "".join([*pieces, self._text[place:end]])

    def _span(self, span: _Span, *, in_link: bool) -> str:
        raw, target = self._text[span.start : span.end], Target.of(span.href)
        if span.image and target.is_on(self._allow_hosts):
            return raw
        if span.text is None and not span.tag:
            return self._autolink(span, target, in_link=in_link)
        text = _literal(span.alt) if span.text is None else self._shown(*span.text, span.inner, in_link=True)
        if span.image and is_invisible(_as_read(text)):
            text = "image"
        if in_link:
            return text
        if target.kind == "other":
            return "link" if is_invisible(_as_read(text)) else text
        named = self._named(text, target)
        tail = "" if span.text is None else self._text[span.text[1] : span.end]
        as_it_was = span.text is not None and named == self._text[slice(*span.text)]
        if span.tag or target.user_info or (span.reference and not as_it_was):
            tail = f"]({target.written})"
        return f"[{named}{tail}"

    def _named(self, text: str, target: Target) -> str:
        """A link's text, so that it is seen where the link leads."""
        if target.kind == "here":
            return "link" if is_invisible(_as_read(text)) else text
        if is_invisible(_as_read(text)):
            return target.shown
        return f"{text} ({target.shown})" if pretends(_as_read(text), target) else text

    def _autolink(self, span: _Span, target: Target, *, in_link: bool) -> str:
        if in_link:
            return _literal(span.href)
        if target.kind == "other":
            return f"\\<{span.href}>"
        return f"<{target.written}>" if target.user_info else self._text[span.start : span.end]


def _after_space(text: str, place: int) -> int:
    while text[place : place + 1] in {" ", "\n", "\t"}:
        place += 1
    return place


def _is_escaped(text: str, place: int) -> bool:
    begin = place
    while begin and text[begin - 1] == "\\":
        begin -= 1
    return (place - begin) % 2 == 1


def _literal(text: str) -> str:
    """``text`` as Markdown that reads like it."""
    return re.sub(r"([\\`*_~\[\]<>!|&])", r"\\\1", " ".join(text.split()))


def _as_read(text: str) -> str:
    """Roughly what people read of a link's text."""
    from markdown_it.common.utils import unescapeAll

    return re.sub(r"[*`~]", "", unescapeAll(text))
