"""The text in a PDF, read in a process of its own: there it may hang, break, or eat memory, and be ended."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)

PDF = "application/pdf"

SECONDS = 20.0
"""How long one PDF is read; what was read by then counts."""

GRACE_SECONDS = 5.0
"""How long a page may take that was begun in time, and the process to start and end."""

_READER = Path(__file__).with_name("pdf_reader.py")
_ENVIRONMENT = (
    *("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "TEMP", "TMP", "HOME", "USERPROFILE", "APPDATA"),
    *("PYTHONHOME", "PYTHONPATH", "PYTHONUSERBASE"),
)
"""What the process is told of ours: where things are, and no token."""


@dataclass(frozen=True, slots=True)
class Pages:
    """What was read of a PDF.

    Args:
        text: The text of its pages, one after the other.
        read: How many were read.
        there_are: How many it has.
        problem: Why nothing could be read, for the person who sent it; empty if something could.
    """

    text: str = ""
    read: int = 0
    there_are: int = 0
    problem: str = ""


async def pages_of(data: bytes, *, pages: int, characters: int, seconds: float = SECONDS) -> Pages:
    """The text in a PDF.

    Args:
        data: The file.
        pages: Pages that are read.
        characters: Characters after which no further page is read.
        seconds: How long may be read.
    """
    if importlib.util.find_spec("pypdf") is None:
        logger.warning("A PDF was not read, for pypdf is not there: pip install pypdf")
        return Pages(problem="PDFs cannot be read here")
    try:
        reader = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", str(_READER), str(pages), str(characters), str(seconds)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        )
    except (OSError, NotImplementedError):  # no room for another process, or an event loop that starts none
        return Pages(problem="PDFs cannot be read at the moment")
    try:
        async with asyncio.timeout(seconds + GRACE_SECONDS):
            written, _ = await reader.communicate(data)
    except TimeoutError:
        return Pages(problem="it took too long to read")
    finally:
        if reader.returncode is None:
            reader.kill()
            await reader.communicate()  # its pipes are closed then, too
    return _understood(written)


def _understood(written: bytes) -> Pages:
    try:
        return Pages(**json.loads(written))
    except (ValueError, TypeError):  # it was ended: by the limit of its memory, most likely
        return Pages(problem="the PDF is damaged, or too intricate to be read")
