"""Where a link leads, and whether its text says so."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal
from unicodedata import category, normalize
from urllib.parse import urlsplit

Kind = Literal["web", "mail", "here", "other"]
"""A web address, a mail address, a place in the same document or on the same host, or anything else."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_IGNORED = re.compile(r"[\x00-\x20\x7f]+")
_HOST = re.compile(r"[\w.-]+|\[[0-9a-fA-F:.]+\]")
_MAIL = re.compile(r"mailto:([^?\s]+@[\w.-]+)(?:\?.*)?", re.IGNORECASE)
_WRITTEN = re.compile(r"[\s<>()\[\]\\`|*_!~\"']")
_AUTHORITY = re.compile(r"(?:^|[^\w])(?:[a-z][a-z0-9+.-]*:)?//([^\s/?#\\]+)", re.IGNORECASE)
_WWW = re.compile(r"(?<![\w.-])www\.[\w.-]+", re.IGNORECASE)
_MAIL_HOST = re.compile(r"\w@([\w.-]+)")
_BARE = re.compile(r"[^\w]*((?:[\w-]+\.)+[\w-]{2,})\.?(?::\d+)?(?:[/?#]\S*)?[^\w/]*")
_FILLERS = frozenset("\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters and symbols by category that nothing is seen of."""

_ENDINGS = frozenset(
    """
    academy agency ai app art bank biz blog cloud club com company dev digital edu email example finance fun gov group
    info int invalid io life live local media mil money museum name net network news one online org page pay pro shop
    site social software solutions space store support team tech test today tools top travel us vip web website wiki
    work world xyz zone
    """.split()  # noqa: SIM905  # a list of them would take a page
)
"""Endings beyond those of countries by which a word without ``https://`` is taken for a host."""

_FILES = frozenset({"cc", "md", "mov", "pl", "ps", "py", "rs", "sh", "so", "zip"})
"""Endings of hosts that are endings of files far more often."""

_NO_COUNTRIES = frozenset({"cs", "db", "ex", "go", "hs", "js", "jl", "kt", "rb", "ts", "vb"})
"""Two letters that end files and names of programs, and no hosts."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a link leads.

    Args:
        kind: What it leads to.
        shown: What people are shown of it: the host, or a mail address.
        user_info: Whether a user's name stands before the host, where it can look like one.
        written: The address as it can be written into a Markdown link.
    """

    kind: Kind
    shown: str
    user_info: bool
    written: str

    @classmethod
    def of(cls, href: str) -> Target:
        """The target of an address, read as browsers read it: leniently."""
        address = _IGNORED.sub("", href)
        scheme = _SCHEME.match(address)
        name = scheme.group(1).lower() if scheme else ""
        if name == "mailto":
            mail = _MAIL.fullmatch(address)
            return cls("mail", mail.group(1), user_info=False, written=_quoted(address)) if mail else _OTHER
        if name in ("http", "https"):
            address = f"{name}://" + address[len(name) + 1 :].lstrip("/\\")
        elif name:
            return _OTHER
        elif re.match(r"[/\\]{2}", address):
            address = "//" + address.lstrip("/\\")
        else:
            return cls("here", "", user_info=False, written=_quoted(address))
        try:
            parts = urlsplit(address)
            host = parts.hostname or ""
        except ValueError:
            return _OTHER
        # A backslash ends the host for some and not for others.
        if "\\" in parts.netloc or not _HOST.fullmatch(host):
            return _OTHER
        user_info = "@" in parts.netloc
        if user_info:
            address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        return cls("web", host, user_info, _quoted(address))

    def is_on(self, hosts: Collection[str]) -> bool:
        """Whether it leads to one of ``hosts``, over TLS or whatever its page has."""
        if self.kind != "web" or self.user_info:
            return False
        return any(
            self.shown.endswith(host[1:].lower()) if host.startswith("*.") else self.shown == host.lower()
            for host in hosts
        )


_OTHER = Target("other", "", user_info=False, written="")


def is_invisible(text: str) -> bool:
    """Whether nothing is seen of ``text``."""
    return all(
        character.isspace() or character in _FILLERS or category(character) in {"Cc", "Cf", "Cs", "Mn", "Me"}
        for character in text
    )


def pretends(text: str, target: Target) -> bool:
    """Whether a link's text names a host that the link does not lead to, without naming the one it leads to."""
    if target.kind not in ("web", "mail"):
        return False
    seen = "".join(character for character in normalize("NFKC", text) if category(character) not in {"Cc", "Cf", "Mn"})
    real = _plain_host(target.shown.rpartition("@")[2])
    named = {_plain_host(host) for host in _named_hosts(seen, target)}
    return bool(named - {real}) and not seen.rstrip().endswith(f"({target.shown})")


def _named_hosts(text: str, target: Target) -> Iterator[str]:
    text = text.replace("。", ".")
    for authority in _AUTHORITY.findall(text):
        yield _host_in(authority)
    yield from _WWW.findall(text)
    if target.kind == "mail":
        yield from _MAIL_HOST.findall(text)
    bare = _BARE.fullmatch(text.strip())
    if bare and _may_be_host(bare.group(1), target):
        yield bare.group(1)


def _may_be_host(word: str, target: Target) -> bool:
    ending = word.rpartition(".")[2].lower()
    if ending in _FILES:
        path = re.split(r"[?#]", target.written)[0]
        return not path.lower().endswith(f"/{word.lower()}")
    if not ending.isascii() or ending.startswith("xn--"):
        return True
    return ending in _ENDINGS or (len(ending) == 2 and ending.isalpha() and ending not in _NO_COUNTRIES)


def _host_in(authority: str) -> str:
    host = authority.rpartition("@")[2]
    found = re.match(r"[\w.-]+", host)
    return found.group() if found else host


def _plain_host(host: str) -> str:
    host = host.lower().strip(".").removeprefix("www.")
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        return host


def _quoted(address: str) -> str:
    return _WRITTEN.sub(lambda found: "".join(f"%{byte:02X}" for byte in found.group().encode()), address)
