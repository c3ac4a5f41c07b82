"""What the command line says besides answers: one line each, on stderr."""

from __future__ import annotations

import logging
import re
import sys
import textwrap
import traceback
import warnings
from copy import copy
from shutil import get_terminal_size
from types import TracebackType
from typing import Any

PROGRAM = "dspy-bots"
LONGEST = 600
"""Characters of a line; providers answer with whole pages."""

ROOMS = (
    "dspy_session",
    "dspy_session_bots",
    "dspy_session_chat",
    "dspy_session_discord",
    "dspy_session_slack",
    "dspy_session_webhook",
)
"""The packages whose logs are ours."""

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def one_line(text: str) -> str:
    """``text`` on one line, and not without end."""
    line = harmless(" ".join(text.split()))
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def explained(error: BaseException) -> str:
    """An error in one line: its message, with its kind in front where the message alone would not say much."""
    from dspy_session.errors import SessionError  # with DSPy behind it: too much for --help
    from dspy_session.redaction import redact

    return one_line(redact(str(error) if isinstance(error, SessionError) else f"{type(error).__name__}: {error}"))


def innermost(error: BaseException) -> BaseException:
    """What began it: the error behind an error, as far as it says anything and was not hidden on purpose."""
    found, seen = error, {id(error)}
    while True:
        behind = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if behind is None or id(behind) in seen:
            return found
        seen.add(id(behind))
        error = behind
        if isinstance(error, Exception) and str(error).strip():
            found = error


def harmless(text: str) -> str:
    """``text`` without what a terminal would obey: a model may say anything."""
    return _CONTROLS.sub("", text)


def complain(text: str) -> None:
    """Say what is wrong, and how to mend it: on one line, which a terminal shows as several that end between words."""
    line = f"{PROGRAM}: {one_line(text)}"
    if sys.stderr.isatty():
        line = textwrap.fill(line, get_terminal_size().columns, break_long_words=False, break_on_hyphens=False)
    print(line, file=sys.stderr)  # noqa: T201


def show_fault(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What nobody foresaw, as Python shows it, without the secrets that may stand in it; for ``sys.excepthook``."""
    from dspy_session.redaction import redact

    print(redact("".join(traceback.format_exception(kind, error, trace))), end="", file=sys.stderr)  # noqa: T201


def is_sure(question: str) -> bool:
    """Ask whoever sits at the terminal; through a pipe the answer may be there already. No answer is a no."""
    if not sys.stdin.isatty():
        return _is_yes(sys.stdin.readline())
    print(f"{harmless(question)} [y/N] ", end="", file=sys.stderr, flush=True)  # noqa: T201
    answer = sys.stdin.readline()
    if not answer:  # Ctrl-D
        print(file=sys.stderr)  # noqa: T201
    return _is_yes(answer)


def _is_yes(answer: str) -> bool:
    return answer.strip().lower() in ("y", "yes")


def warn_in_one_line() -> None:
    """Let Python's warnings be one line each, without the code that they come from."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        complain(f"warning: {message}")

    warnings.showwarning = show


def log_to_terminal(*, verbose: bool) -> None:
    """Log for somebody who is looking on: a line for a warning or an error.

    Args:
        verbose: Log more, and where errors came from.
    """
    _log_as(_OneLine(verbose=verbose), verbose=verbose)


def log_to_operator(*, verbose: bool) -> None:
    """Log for somebody who reads it afterwards: what happened when, and where errors came from.

    Args:
        verbose: Log more, and where errors came from.
    """
    _log_as(_Operator(verbose=verbose), verbose=verbose, ours=logging.INFO)


class _Operator(logging.Formatter):
    """When, what and where; of an error the cause in one line, and all of it where somebody wants to know."""

    def __init__(self, *, verbose: bool) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._verbose = verbose

    def format(self, record: logging.LogRecord) -> str:
        if self._verbose or record.exc_info is None or record.exc_info[1] is None:
            return super().format(record)
        untraced = copy(record)
        untraced.exc_info = untraced.exc_text = untraced.stack_info = None
        return f"{super().format(untraced)}: {explained(innermost(record.exc_info[1]))}"


class _OneLine(logging.Formatter):
    """A line a record; the traceback below it where somebody wants to know."""

    def __init__(self, *, verbose: bool) -> None:
        super().__init__()
        self._verbose = verbose

    def format(self, record: logging.LogRecord) -> str:
        from dspy_session.redaction import redact

        # Before it is cut: half a token may not be known for one.
        line = f"{PROGRAM}: {record.levelname.lower()}: {one_line(redact(record.getMessage()))}"
        if record.exc_info is None or record.exc_info[1] is None:
            return line
        if self._verbose:
            return f"{line}\n{self.formatException(record.exc_info)}"
        return f"{line}: {explained(innermost(record.exc_info[1]))}"


def _matters(record: logging.LogRecord) -> bool:
    """False for what discord.py warns of at each start: a bot that writes needs no package to speak with."""
    return not (record.name == "discord.client" and "voice will NOT be supported" in str(record.msg))


def _log_as(formatter: logging.Formatter, *, verbose: bool, ours: int = logging.WARNING) -> None:
    from dspy_session.redaction import RedactingFormatter, redact_logs

    handler = logging.StreamHandler()
    handler.setFormatter(RedactingFormatter(formatter))
    if not verbose:
        handler.addFilter(_matters)
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, handlers=[handler])
    for room in ROOMS:
        logging.getLogger(room).setLevel(logging.DEBUG if verbose else ours)
    redact_logs([logging.getLogger("dspy")])  # which brings a handler of its own
