"""What a file is, by what is in it: a name and a media type are only what the sender says.

Signatures of our own: the libraries that know thousands of them are either no longer kept (filetype) or need a newer
Python than this one (puremagic), and neither tells how many pixels a picture has. Four kinds are read and a few more
are known by name, so that whoever sent one can be told what it was.
"""

from __future__ import annotations

import codecs
import re
import struct

TEXT = "text/plain"
IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
"""The pictures that vision models take."""

HEAD = 512
"""Bytes by which a file is known; some of the signatures below stand behind others' headers."""

_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (8, b"WAVE", "audio/wav"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"PK\x03\x04", "application/zip"),  # also the documents of today's office programs
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),  # and of those before
    (0, b"{\\rtf", "application/rtf"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (0, b"BM", "image/bmp"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftyphei", "image/heic"),
    (4, b"ftypmif1", "image/heic"),
    (4, b"ftypM4A", "audio/mp4"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"OggS", "audio/ogg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"\x1f\x8b", "application/gzip"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (0, b"Rar!\x1a\x07", "application/vnd.rar"),
    (0, b"\x7fELF", "application/x-executable"),
    (0, b"SQLite format 3\x00", "application/vnd.sqlite3"),
)
_BOMS = (
    # The four bytes first: they begin with the two of another.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
_NEVER_IN_TEXT = re.compile(r"[\x00-\x06\x0e-\x1a\x1c-\x1f]")  # bell, backspace and escape are in logs of terminals
_PRINTED = re.compile(rb"[\t\n\r\x20-\x7e]*")
_SEGMENTS = 1_000
"""Parts of a picture's header that are walked through; a camera writes a few dozen."""


def media_type(head: bytes) -> str:
    """The media type of a file that begins with ``head``: ``text/plain`` for what may be text, empty when unknown.

    Args:
        head: The first ``HEAD`` bytes, or all of them if there are fewer.
    """
    for place, signature, kind in _SIGNATURES:
        if head.startswith(signature, place) and not _is_words(kind, head):
            return kind if place != 8 or head.startswith(b"RIFF") else ""
    if any(head.startswith(mark) for mark, _ in _BOMS):
        return TEXT
    return "" if _NEVER_IN_TEXT.search(head.decode("latin-1")) else TEXT


def _is_words(kind: str, head: bytes) -> bool:
    """Whether a signature of plain letters is only how somebody's text begins: "BMW", "ID3 tags", "1234ftyp"."""
    return kind.startswith(("image/", "audio/", "video/")) and _PRINTED.fullmatch(head) is not None


def text_of(data: bytes) -> str | None:
    """The text in a file: UTF-8, or what its byte order mark says; None when it is none."""
    encoding = next((encoding for mark, encoding in _BOMS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return None
    return None if _NEVER_IN_TEXT.search(text) else text


def pixels(data: bytes) -> int | None:
    """How many pixels a picture unfolds to, read from its header; None when there is no sound header."""
    try:
        match media_type(data[:HEAD]):
            case "image/png":
                width, height = _png(data)
            case "image/jpeg":
                width, height = _jpeg(data)
            case "image/gif":
                width, height = _gif(data)
            case "image/webp":
                width, height = _webp(data)
            case _:
                return None
    except (struct.error, IndexError, ValueError):
        return None
    return width * height or None


def _png(data: bytes) -> tuple[int, int]:
    if data[12:16] != b"IHDR":
        raise ValueError
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _jpeg(data: bytes) -> tuple[int, int]:
    place = 2
    for _ in range(_SEGMENTS):
        while data[place] != 0xFF or data[place + 1] == 0xFF:  # bytes may be filled in before a marker
            if data[place] != 0xFF:
                raise ValueError
            place += 1
        marker = data[place + 1]
        if marker in (0xD9, 0xDA):  # the picture itself begins, or ends
            break
        (length,) = struct.unpack_from(">H", data, place + 2)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # start of frame; those are tables
            height, width = struct.unpack_from(">HH", data, place + 5)
            return width, height
        if length < 2:
            break
        place += 2 + length
    raise ValueError


def _gif(data: bytes) -> tuple[int, int]:
    """The canvas, or what the frames need: a frame may reach beyond it."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    place, frames = 13 + _palette(flags), 0
    while place < len(data) and data[place] != 0x3B:
        if data[place] == 0x2C:
            left, top, wide, high, flags = struct.unpack_from("<HHHHB", data, place + 1)
            width, height = max(width, left + wide), max(height, top + high)
            frames += 1
            place += 11 + _palette(flags)  # and one byte for the size of codes
        elif data[place] == 0x21:
            place += 2
        else:
            raise ValueError
        while data[place]:
            place += 1 + data[place]
        place += 1
    if not frames:
        raise ValueError
    return width, height


def _palette(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _webp(data: bytes) -> tuple[int, int]:
    match data[12:16]:
        case b"VP8X":
            low_width, high_width, low_height, high_height = struct.unpack_from("<HBHB", data, 24)  # three bytes each
            return 1 + low_width + (high_width << 16), 1 + low_height + (high_height << 16)
        case b"VP8L" if data[20] == 0x2F:
            (bits,) = struct.unpack_from("<I", data, 21)
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        case b"VP8 " if data[23:26] == b"\x9d\x01\x2a":
            width, height = struct.unpack_from("<HH", data, 26)
            return width & 0x3FFF, height & 0x3FFF
    raise ValueError
