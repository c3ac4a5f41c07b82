"""A process that has imported what ``dspy-bots`` needs, and becomes it on command: in milliseconds, not in seconds.

Each message on its socket is a command line with the files that are to be its streams, and a pipe on which its process
id is told, and how it ended once it has. No thread and no event loop has begun by then.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import dspy_session_bots
from dspy_session_bots import cli
from tests.bots import lines

_NEEDED = ("litellm", "dspy.teleprompt", "dspy_session_discord", "dspy_session_slack", "dspy_session_webhook")
_LONGEST = 1 << 20
"""Bytes of a command line and its environment."""
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Fork until nobody is at the other end."""
    for module in pkgutil.walk_packages(dspy_session_bots.__path__, "dspy_session_bots."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in _NEEDED:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever ends leaves no zombie
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests; we end with them
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as commands:
        while wanted := _received(commands):
            what, streams = wanted
            if os.fork() == 0:
                commands.close()
                _watch(what, streams)
            for stream in streams:
                os.close(stream)


def _received(commands: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    what, streams, _, _ = socket.recv_fds(commands, _LONGEST, 4)
    return (json.loads(what), streams) if what else None


def _watch(what: Mapping[str, Any], streams: list[int]) -> None:
    """Fork once more, and tell how that ends."""
    *theirs, telling = streams
    _die_with_parent()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    program = os.fork()
    if program == 0:
        os.close(telling)
        _die_with_parent()
        _become(what, theirs)
        _end(_code_of(lines.main if what["arguments"] is None else cli.main))
    for stream in theirs:
        os.close(stream)
    os.write(telling, f"{program}\n".encode())
    _, status = os.waitpid(program, 0)
    os.write(telling, f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _become(what: Mapping[str, Any], streams: list[int]) -> None:
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    # Anew, for they look whether they are a terminal when they are made.
    sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(what["folder"])
    os.environ.clear()
    os.environ.update(what["environment"])
    sys.argv[:] = [what["program"], *(what["arguments"] or ())]
    sys.path[0] = str(Path(what["program"]).parent)


def _code_of(program: Callable[[], None]) -> int:
    try:
        program()
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException as error:  # noqa: BLE001  # what an interpreter does at the end
        sys.excepthook(type(error), error, error.__traceback__)
        return 1
    return 0


def _end(code: int) -> None:
    """End as an interpreter does, but for taking everything apart, which takes longer than most programs run."""
    atexit._run_exitfuncs()  # noqa: SLF001  # there is no other way
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main()
