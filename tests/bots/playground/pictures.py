"""A picture, made on the spot."""

from __future__ import annotations

import struct
import zlib


def picture(width: int, height: int) -> bytes:
    """A PNG: a field of clover, seen from above."""
    rows = b"".join(
        b"\0" + b"".join(bytes((90 + x % 40, 150 + (x * y) % 60, 80)) for x in range(width)) for y in range(height)
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunk(kind, data)
        for kind, data in (
            (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
            (b"IDAT", zlib.compress(rows)),
            (b"IEND", b""),
        )
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
