"""The smallest pictures that have a size, written by hand."""

from __future__ import annotations

import struct
import zlib


def png(width: int = 2, height: int = 2) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"\0" * (min(width, 2) + 1) * min(height, 2))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def jpeg(width: int = 2, height: int = 2, before: bytes = b"") -> bytes:
    thumbnail = struct.pack(">BBHBHHB", 0xFF, 0xC0, 11, 8, 60_000, 60_000, 1)  # inside of EXIF: not the picture's own
    exif = b"\xff\xe1" + struct.pack(">H", 2 + len(thumbnail)) + thumbnail
    frame = b"\xff\xff\xc2" + struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\x01\x11\x00"
    return b"\xff\xd8" + exif + before + frame + b"\xff\xda\x00\x02\x00\xff\xd9"


def gif(width: int = 2, height: int = 2, frame: tuple[int, int] = (2, 2)) -> bytes:
    image = struct.pack("<BHHHHB", 0x2C, 0, 0, *frame, 0x80) + b"\0" * 6 + b"\x02\x02\x4c\x01\x00"
    control = b"\x21\xf9\x04\0\0\0\0\0"
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0x81, 0, 0) + b"\0" * 12 + control + image + b";"


def webp(form: bytes = b"VP8X", width: int = 2, height: int = 2) -> bytes:
    body = {
        b"VP8X": b"\0" * 4 + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little"),
        b"VP8L": b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14),
        b"VP8 ": b"\0" * 3 + b"\x9d\x01\x2a" + struct.pack("<HH", width, height),
    }[form]
    return b"RIFF" + struct.pack("<I", 12 + len(body)) + b"WEBP" + form + struct.pack("<I", len(body)) + body
