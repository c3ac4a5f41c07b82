"""Where somebody's code went wrong."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path

import dspy_session
import dspy_session_chat

_LIBRARIES = (
    *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    *(str(Path(str(room.__file__)).parent) for room in (dspy_session, dspy_session_chat)),
    str(Path(__file__).parent),
)


def where(error: BaseException) -> str:
    """The place in the user's own code that an error came from, ``"agent.py, line 3"``; empty when it is unknown."""
    if isinstance(error, SyntaxError) and error.filename is not None and error.lineno is not None:
        return _place(error.filename, error.lineno)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<")]
    theirs = [frame for frame in frames if not frame.filename.startswith(_LIBRARIES)]
    return _place(theirs[-1].filename, theirs[-1].lineno or 0) if theirs else ""


def _place(filename: str, line: int) -> str:
    path = Path(filename)
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return f"{shown}, line {line}"
