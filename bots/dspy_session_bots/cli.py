"""``dspy-bots``: the outermost rim. Whatever goes wrong for a reason of the user's ends here, in one line."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import threading
from collections.abc import Sequence
from typing import NoReturn

from dspy_session_bots.console import PROGRAM, complain, show_fault, warn_in_one_line
from dspy_session_bots.install import pip_install

REFUSED = 1


def main() -> None:
    """The program: runs what the command line says, then exits."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a model may say what a terminal's encoding has not
    sys.excepthook = show_fault
    _leave(run(sys.argv[1:]))


def _leave(code: int) -> NoReturn:
    """Exit, also while a thread still waits for a model: what it works on was handed back when the bot stopped."""
    if not any(thread is not threading.main_thread() and not thread.daemon for thread in threading.enumerate()):
        sys.exit(code)
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    os._exit(code)  # an ordinary exit would wait for the thread


def run(arguments: Sequence[str]) -> int:
    """Run a command line.

    Args:
        arguments: The words after the program's name.

    Returns:
        The exit code: 0, 1 for what is refused, 2 for what is no such command, 130 after Ctrl-C.
    """
    # Read when LiteLLM is imported: else it asks the network for its prices.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "true")
    warn_in_one_line()
    try:
        import typer

        from dspy_session_bots.commands import app
    except ModuleNotFoundError as error:
        return _refused(error)
    try:
        return app(list(arguments), prog_name=PROGRAM, standalone_mode=False) or 0
    except typer.TyperException as error:
        command = getattr(getattr(error, "ctx", error), "command_path", PROGRAM)
        complain(f"{error.format_message().rstrip('.?')} (see {command} --help)")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001  # what nobody foresaw is raised again
        return _refused(error)


def _refused(error: Exception) -> int:
    """Say what is wrong, where it is wrong for a reason of the user's."""
    if isinstance(error, ImportError) and str(error.name).partition(".")[0] == "dspy_session":  # a part of it is gone
        complain(
            f"dspy_session is not the one of dspy-session-kit ({error}): pip uninstall dspy-session, "
            f"then {pip_install(options='--force-reinstall --no-deps')}"
        )
        return REFUSED
    if isinstance(error, ModuleNotFoundError):
        complain(f"{error.name} is not installed: {pip_install('bots')}")
        return REFUSED
    from dspy_session.errors import SessionError  # with DSPy behind it: too much for --help

    if not isinstance(error, SessionError):
        raise error
    from dspy_session.redaction import redact

    complain(redact(str(error)))
    return REFUSED
