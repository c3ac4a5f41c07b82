"""Files that people brought and that the bot posted, for as long as the playground runs."""

from __future__ import annotations

import re
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from aiohttp import web

MOST_EACH = 25 * 2**20
"""Bytes of one file that is brought: what Slack's and Discord's free plans are used to, and a page uploads at once."""
MOST_HELD = 256 * 2**20
"""Bytes that are held in memory; the oldest files go first."""
LONGEST_NAME = 120

FILES = "/api/files"
"""The path beneath which files are."""

_PATH = re.compile(rf"{FILES}/([0-9a-f]{{16}})/[^/]*")
_IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"})
"""What a browser shows; an SVG is a document with scripts in it, so it is none."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A file on the shelf.

    Args:
        id: Nobody guesses it.
        name: The file's name.
        media_type: MIME type, as whoever brought it says.
        data: What is in it.
    """

    id: str
    name: str
    media_type: str
    data: bytes

    @property
    def path(self) -> str:
        """Where it is served."""
        return f"{FILES}/{self.id}/{quote(self.name, safe='')}"

    def to_json(self) -> dict[str, Any]:
        """The file as the page knows it."""
        return {
            "id": self.id,
            "name": self.name,
            "media_type": self.media_type,
            "size": len(self.data),
            "url": self.path,
            "image": self.media_type in _IMAGES,
        }

    def response(self) -> web.Response:
        """The file, such that a browser shows an image, saves anything else, and runs nothing."""
        image = self.media_type in _IMAGES
        disposition = "inline" if image else "attachment"
        return web.Response(
            body=self.data,
            content_type=self.media_type if image else "application/octet-stream",
            headers={
                "Content-Disposition": f"{disposition}; filename*=UTF-8''{quote(self.name, safe='')}",
                "Content-Security-Policy": "default-src 'none'; sandbox",
            },
        )


class Shelf:
    """Holds files.

    Args:
        most: Bytes that are held.
    """

    def __init__(self, most: int = MOST_HELD) -> None:
        self._most = most
        self._held: OrderedDict[str, Kept] = OrderedDict()
        self._bytes = 0

    def put(self, name: str, media_type: str, data: bytes) -> Kept:
        """Put a file on the shelf; older ones make room."""
        kept = Kept(secrets.token_hex(8), _plain(name), media_type.partition(";")[0].strip().lower(), data)
        self._held[kept.id] = kept
        self._bytes += len(data)
        while self._bytes > self._most and len(self._held) > 1:
            _, oldest = self._held.popitem(last=False)
            self._bytes -= len(oldest.data)
        return kept

    def get(self, identity: str) -> Kept | None:
        """The file with an id; None when it is gone, or never was."""
        return self._held.get(identity)

    def at(self, url: str) -> Kept | None:
        """The file that is served at ``url``."""
        found = _PATH.fullmatch(urlsplit(url).path)
        return None if found is None else self._held.get(found[1])


def _plain(name: str) -> str:
    """A name that is no path and takes one line."""
    last = re.split(r"[/\\]", name)[-1]
    printable = "".join(letter for letter in last if letter.isprintable()).strip(". ")
    return printable[-LONGEST_NAME:] or "file"
