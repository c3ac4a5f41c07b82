"""A process that has imported everything and forks bots on command: a bot then starts in milliseconds.

It reads a line of JSON for each, and answers with the process's id. No thread and no event loop has begun by then.
"""

from __future__ import annotations

import tests.faults.skewed  # isort: skip  # noqa: F401  # before anybody takes time.time for a default

import ctypes
import gc
import json
import os
import random
import signal
import sys
from typing import Any, NoReturn

from tests.faults.process import run

_PR_SET_PDEATHSIG = 1


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever dies leaves no zombie
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests; they end us
    gc.freeze()
    _say("ready")
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _become_a_bot(json.loads(line))
        _say(pid)


def _say(what: object) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def _become_a_bot(config: dict[str, Any]) -> NoReturn:
    ended = 1
    try:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        log = os.open(config["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        nothing = os.open(os.devnull, os.O_RDWR)
        for old, new in ((0, nothing), (1, log), (2, log)):
            os.dup2(new, old)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        random.seed()
        run(config)
        ended = 0
    finally:
        sys.stderr.flush()
        os._exit(ended)


if __name__ == "__main__":
    main()
