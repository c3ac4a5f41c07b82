"""The compression that a client may ask for: one stream over all frames of a connection."""

from __future__ import annotations

import importlib
import sys
import zlib
from collections.abc import Callable

Squeeze = Callable[[bytes], bytes]
"""Makes of a frame what is sent, so that the other side can read all of it at once."""


def squeeze_of(name: str) -> Squeeze | None:
    """The compression that is called so; None where frames are sent as they are."""
    if name == "zlib-stream":
        deflate = zlib.compressobj()
        return lambda frame: deflate.compress(frame) + deflate.flush(zlib.Z_SYNC_FLUSH)
    if name == "zstd-stream" and sys.version_info >= (3, 14):  # discord.py asks for it where Python has it
        zstd = importlib.import_module("compression.zstd").ZstdCompressor()
        return lambda frame: bytes(zstd.compress(frame, zstd.FLUSH_BLOCK))
    return None
