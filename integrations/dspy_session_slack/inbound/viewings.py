"""Which channel people look at beside each thread of Slack's older assistant panel.

Slack tells it when it changes, and not with what people write there. So it is kept: in the bot's store, where a
restarted bot and another process find it, or in memory where the store keeps nothing but conversations.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from cachetools import LRUCache

from dspy_session.errors import SessionError
from dspy_session.stores import Kept, Vault
from dspy_session_slack.key import PLATFORM

_log = logging.getLogger(__name__)

REMEMBERED = 10_000
"""Threads kept in memory."""

KEPT_SECONDS = 7 * 24 * 3600.0
"""How long it is kept in a store after it was told: whoever comes back later looks at another channel."""

CLEARED_SECONDS = 3600.0
"""How often what is over is cleared out."""


class Viewings:
    """Keeps what is looked at in one workspace. No message is lost for want of it, so it never fails.

    Args:
        team: The workspace.
        vault: Where it is kept; None for in memory.
        clock: Seconds since 1970, UTC.
    """

    def __init__(self, team: str, vault: Vault | None, clock: Callable[[], float] = time.time) -> None:
        self._team = team
        self._vault = vault
        self._clock = clock
        self._here: LRUCache[str, str] = LRUCache(REMEMBERED)
        self._cleared_at = 0.0

    async def keep(self, channel: str, thread: str, viewing: str) -> None:
        """Beside a thread somebody looks at a channel, or at none if it is empty."""
        name = self._name(channel, thread)
        if self._vault is None:
            self._here[name] = viewing
            return
        now = self._clock()
        try:
            await self._vault.put(Kept(name, viewing, now + KEPT_SECONDS))
            if now - self._cleared_at >= CLEARED_SECONDS:
                self._cleared_at = now
                await self._vault.clear(now)
        except SessionError as error:
            _log.warning("Which channel is looked at is not kept: %s", error)

    async def at(self, channel: str, thread: str) -> str:
        """The channel that is looked at beside a thread; empty for none, or if unknown."""
        name = self._name(channel, thread)
        if self._vault is None:
            return self._here.get(name, "")
        try:
            kept = await self._vault.get(name)
        except SessionError as error:
            _log.warning("Which channel is looked at is not known: %s", error)
            return ""
        return kept.value if kept is not None and (kept.until or 0.0) > self._clock() else ""

    def _name(self, channel: str, thread: str) -> str:
        return f"{PLATFORM}:viewing:{self._team}:{channel}:{thread}"
