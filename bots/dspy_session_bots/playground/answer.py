"""An answer while it is being written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

PACE_SECONDS = 0.05
"""Least time between two views of a growing answer: a model may send hundreds of pieces a second."""
REST = 10
"""How many times longer the pause after a view is than the view took: each is the whole answer, rendered anew."""


class LiveAnswer:
    """Shows an answer as it grows, at a pace that a page can follow; a ``ReplyStream``.

    Args:
        show: Called with the answer so far, in Markdown, and what the agent is doing.
    """

    def __init__(self, show: Callable[[str, str], None]) -> None:
        self._show = show
        self._text = ""
        self._status = ""
        self._changed = False
        self._due: asyncio.TimerHandle | None = None

    @property
    def message_ids(self) -> tuple[str, ...]:
        """None: what grows on the page is no message yet, and goes when it is posted."""
        return ()

    async def disown(self, known: Sequence[str]) -> None:
        """Show nothing of it any more: the answer is begun anew."""
        self._text = self._status = ""
        self._change()

    async def status(self, text: str) -> None:
        """Say what the agent is doing."""
        self._status = text
        self._change()

    async def append(self, text: str) -> None:
        """Show more of the answer."""
        self._text += text
        self._status = ""  # whatever it did, now it writes
        self._change()

    def close(self) -> None:
        """Show nothing more: the whole answer is posted now."""
        if self._due is not None:
            self._due.cancel()

    def _change(self) -> None:
        self._changed = True
        if self._due is None:
            self._view()

    def _view(self) -> None:
        self._due = None
        if self._changed:
            self._changed = False
            loop = asyncio.get_running_loop()
            started = loop.time()
            self._show(self._text, self._status)
            self._due = loop.call_later(max(PACE_SECONDS, REST * (loop.time() - started)), self._view)
