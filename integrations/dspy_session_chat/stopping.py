"""Ctrl-C and SIGTERM while an event loop runs: the first asks to stop, Ctrl-C after that not to wait for anything."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Stop:
    """What was asked for.

    Args:
        asked: Set once it is to stop.
        at_once: Set once it is to stop whatever is under way.
    """

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    at_once: asyncio.Event = field(default_factory=asyncio.Event)

    def interrupt(self) -> None:
        """Somebody pressed Ctrl-C."""
        (self.at_once if self.asked.is_set() else self.asked).set()


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[Stop]:
    """Take signals for as long as the block runs, in which an event loop must run.

    A second SIGTERM hurries nobody: supervisors and shells often send two of them.
    """
    stop, loop = Stop(), asyncio.get_running_loop()
    with contextlib.ExitStack() as taken:
        for name, taking in ((signal.SIGINT, stop.interrupt), (signal.SIGTERM, stop.asked.set)):
            with contextlib.suppress(NotImplementedError):  # Windows has no signal handlers on its event loops
                loop.add_signal_handler(name, taking)
                taken.callback(loop.remove_signal_handler, name)
        yield stop


def finishing(answers: int, grace: float) -> str:
    """What to tell who stops a bot that is at work.

    Args:
        answers: How many answers are under way.
        grace: Seconds that they are given.
    """
    what = "the answer" if answers == 1 else f"the {answers} answers"
    return f"finishing {what} under way (up to {grace:g} s); Ctrl-C again stops at once"
