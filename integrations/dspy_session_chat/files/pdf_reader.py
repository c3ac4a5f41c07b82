"""Reads a PDF from the standard input and writes what is in it to the standard output, as JSON; a program of its own.

It is run by its path, so that nothing of ours is imported: it starts in a fraction of a second.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pypdf import PdfReader

MEMORY = 1024 * 1024 * 1024
"""Bytes that it may take: a file of some kilobytes may unfold to many more. Not on Windows."""

LONGEST_PAGE = 1_000_000
"""Characters of one page, for what is written is held in memory; a book has as many."""


def main() -> None:
    """Read; the arguments are the pages, the characters and the seconds after which it ends."""
    pages, characters, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    logging.disable()
    _limit(seconds)
    json.dump(_read(sys.stdin.buffer.read(), pages, characters, seconds), sys.stdout)


def _read(data: bytes, pages: int, characters: int, seconds: float) -> dict[str, Any]:
    from pypdf import PdfReader
    from pypdf.errors import DependencyError

    until = time.monotonic() + seconds
    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            return {"problem": "it is locked with a password"}
        there_are = len(reader.pages)
        texts: list[str] = []
        for number in range(min(there_are, pages)):
            texts.append(_text(reader, number))
            if sum(map(len, texts)) > characters or time.monotonic() > until:
                break
    except DependencyError:  # some ways of locking a file need a library besides
        return {"problem": "it is locked in a way that cannot be opened here"}
    except Exception:  # noqa: BLE001  # there is no end of what may be wrong with a file
        return {"problem": "the PDF is damaged"}
    text = "\n\n".join(each for each in texts if each)
    if not text:
        return {"problem": "there is no text in it, only pictures of pages, maybe"}
    return {"text": text, "read": len(texts), "there_are": there_are}


def _text(reader: PdfReader, number: int) -> str:
    """The text of a page; none of one that is broken."""
    try:
        return reader.pages[number].extract_text().strip()[:LONGEST_PAGE]
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  # as above; the other pages may be sound
        return ""


def _limit(seconds: float) -> None:
    """Take no more memory and time than is granted, whatever becomes of who has started us."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 30, int(seconds) + 30))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


if __name__ == "__main__":
    main()
