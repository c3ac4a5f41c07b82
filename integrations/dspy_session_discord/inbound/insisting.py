"""Handing events over while the store is down: Discord tells each thing once and sends nothing again."""

from __future__ import annotations

import asyncio
import logging

from dspy_session.errors import StoreError
from dspy_session_chat.action import Event
from dspy_session_chat.platform import Receive

_log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds between two tries; each pause is twice the one before."""
PATIENCE = 300.0
"""Seconds from when an event comes in which it is tried again: people wait no longer for an answer."""
MOST_KEPT = 1000
"""Events that wait for the store at most: they are in memory, and each is a few kilobytes."""


class Insisting:
    """Hands events over to ``receive``, again and again while the store does not take them.

    As long as it takes them that happens side by side. Once it does not, they wait in line, in the order in which they
    came: a change of a message that is not taken yet would be taken for one of a message that is none of ours.

    Args:
        receive: Takes the events over; the same one twice does no harm.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._line = asyncio.Lock()
        self._kept = 0
        self._pause = FIRST_PAUSE

    async def __call__(self, event: Event) -> None:
        """Hand an event over.

        Raises:
            StoreError: The store did not take it for minutes, or there are too many already that wait for it.
        """
        until = asyncio.get_running_loop().time() + PATIENCE
        if not self._kept:
            try:
                await self._receive(event)
            except StoreError as error:
                _log.warning("Discord event %s has to wait for the store: %s", event.event_id, error)
            else:
                return
        if self._kept >= MOST_KEPT:
            raise StoreError(f"{MOST_KEPT} events wait for the store already")
        self._kept += 1
        try:
            async with self._line:
                await self._insist(event, until)
        except asyncio.CancelledError:
            _log.error("Discord event %s is lost: the bot stops, and its store does not take it", event.event_id)
            raise
        finally:
            self._kept -= 1

    async def _insist(self, event: Event, until: float) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                await self._receive(event)
            except StoreError:
                if loop.time() + self._pause > until:
                    raise
                await asyncio.sleep(self._pause)
                self._pause = min(2 * self._pause, LONGEST_PAUSE)
            else:
                self._pause = FIRST_PAUSE
                return
