"""The conversations that are in memory: one caller at a time has each, in this process and among all of them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import dspy

from dspy_session.conversation.reading import restored
from dspy_session.conversation.restoring import Restored, ShallowError
from dspy_session.errors import StoreError
from dspy_session.locks import TurnLock
from dspy_session.stores import Lease, Leases, Store

logger = logging.getLogger(__name__)

LEASE_SECONDS = 30.0
"""How long a process that dies or hangs keeps others from its conversations."""
_FIRST_WAIT, _LONGEST_WAIT = 0.02, 0.5
"""Seconds between two tries to get a conversation that another process works on."""


@dataclass(slots=True)
class Hold:
    """A conversation in memory.

    Args:
        key: The conversation.
        restored: What is known of it; None when it has to be read.
        lease: The right to change it; None while nobody here uses it, or where the store has no leases.
        stale: True when it changed in the store in another way than by whoever has it now.
        users: How many callers use it or wait for it.
        last_used: When the last one left.
    """

    key: str
    restored: Restored | None = None
    lease: Lease | None = None
    stale: bool = False
    users: int = 0
    last_used: float = 0.0
    lock: TurnLock = field(default_factory=TurnLock)
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a change is made up and written: beside a turn that runs, other messages are settled."""

    @property
    def known(self) -> Restored:
        """What is known of the conversation, for whoever holds it."""
        assert self.restored is not None
        return self.restored


class Holds:
    """Gives conversations out, one caller at a time for each, in order of arrival; reads them when they are needed.

    Args:
        store: Where they are kept.
        seed: What a conversation begins with that nobody wrote to.
        window: How many of the newest turns are needed; None for all.
        max_loaded: How many stay in memory while nobody uses them.
        idle: Seconds after which an unused one is let go of.
        lease_seconds: How long a lease lasts; it is renewed three times as often.
        clock: Seconds since 1970, UTC.
    """

    def __init__(
        self,
        store: Store,
        *,
        seed: Callable[[], dspy.History | None],
        window: Callable[[], int | None],
        max_loaded: int,
        idle: float,
        lease_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self.owner = uuid.uuid4().hex
        self._store = store
        self._leases = store if isinstance(store, Leases) else None
        self._seed = seed
        self._window = window
        self._max_loaded = max_loaded
        self._idle = idle
        self._lease_seconds = lease_seconds
        self._clock = clock
        self._holds: OrderedDict[str, Hold] = OrderedDict()
        self._beating: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._holds)

    @contextlib.asynccontextmanager
    async def hold(self, key: str, depth: int = 0) -> AsyncIterator[Hold]:
        """Have a conversation until the block ends.

        Args:
            key: The conversation.
            depth: How many of its newest turns are needed at least.
        """
        async with self._entered(key) as hold:
            if self._leases is not None and hold.lease is None:
                await self._acquire(self._leases, hold)
            yield await self.ready(hold, depth)

    @contextlib.asynccontextmanager
    async def try_hold(self, key: str) -> AsyncIterator[Hold | None]:
        """The same, unless another process has the conversation: then None."""
        async with self._entered(key) as hold:
            if self._leases is not None and hold.lease is None:
                lease = await self._leases.acquire(key, self.owner, self._lease_seconds)
                if lease is None:
                    yield None
                    return
                self._begin(hold, lease)
            yield await self.ready(hold)

    async def ready(self, hold: Hold, depth: int = 0) -> Hold:
        """See that a conversation that is held is known, at least its newest ``depth`` turns."""
        known = hold.restored
        if known is not None:
            known.keep_in_step()
        if known is not None and (len(known.numbers) >= depth or known.beyond is None):
            return hold
        window = self._window()
        if window is not None:
            window = max(window, depth)
        hold.restored = await self._read(hold.key, window)
        return hold

    async def is_ours(self, hold: Hold) -> bool:
        """True when nobody has taken the conversation over; our right to it is renewed."""
        if hold.lease is None or self._leases is None:
            return True
        return bool(await self._leases.renew([hold.lease], self._lease_seconds))

    def is_busy(self, key: str) -> bool:
        """True while somebody in this process has a conversation."""
        hold = self._holds.get(key)
        return hold is not None and hold.lock.locked()

    async def read(self, key: str) -> Restored:
        """All of a conversation as it stands in the store, whoever has it."""
        return await self._read(key, None)

    async def read_again(self, hold: Hold) -> None:
        """Read a conversation that is held anew: somebody else wrote to it."""
        hold.restored = await self._read(hold.key, self._window())

    def lose(self, hold: Hold) -> None:
        """Another process has a conversation now; whoever waits for it here asks for it anew."""
        hold.restored = hold.lease = None

    def forget(self, key: str | None = None) -> None:
        """Read a conversation, or all of them, anew when they are needed next."""
        for hold in list(self._holds.values()) if key is None else filter(None, [self._holds.get(key)]):
            hold.stale = True
            if not hold.users:
                hold.restored = None

    async def aclose(self) -> None:
        """Let go of everything."""
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.gather(self._beating, return_exceptions=True)
            self._beating = None
        self._holds.clear()

    # ------------------------------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _entered(self, key: str) -> AsyncIterator[Hold]:
        hold = self._holds.setdefault(key, Hold(key))
        hold.users += 1
        try:
            async with hold.lock.ahold():
                try:
                    if hold.stale:
                        hold.restored, hold.stale = None, False
                    if hold.restored is None and hold.lease is not None and not await self.is_ours(hold):
                        hold.lease = None  # it was forgotten, or another process took it over, while we had it
                    yield hold
                except BaseException:
                    # Whether the store has the last change, and whether we have the conversation, is not known here.
                    hold.restored = None
                    await self._release(hold)
                    raise
                else:
                    if hold.users == 1:
                        await self._release(hold)
        finally:
            hold.users -= 1
            hold.last_used = self._clock()
            if hold.restored is not None and hold.users == 0:
                self._shorten(hold)
            if key in self._holds:  # not after aclose
                self._holds.move_to_end(key)
            self._let_go()
            if hold.users == 0 and hold.lease is not None:  # it was left to a caller that has been cancelled since
                await self._release(hold)

    async def _acquire(self, leases: Leases, hold: Hold) -> None:
        wait = _FIRST_WAIT
        while (lease := await leases.acquire(hold.key, self.owner, self._lease_seconds)) is None:
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)
        self._begin(hold, lease)

    def _begin(self, hold: Hold, lease: Lease) -> None:
        hold.lease = lease
        if hold.restored is not None and lease.length not in (None, hold.restored.length):
            hold.restored = None  # another process wrote meanwhile
        if self._beating is None:
            self._beating = asyncio.create_task(self._beat(), name="conversation-leases")

    async def _release(self, hold: Hold) -> None:
        lease, hold.lease = hold.lease, None
        if lease is not None and self._leases is not None:
            try:
                await asyncio.shield(self._leases.release(lease))
            except StoreError as error:
                logger.warning("The lease on %s could not be given back, and runs out by itself: %s", hold.key, error)

    async def _read(self, key: str, window: int | None) -> Restored:
        # Twice the window: each turn in it saw no more than a window of turns before itself.
        depth = None if window is None else max(1, 2 * window)
        while True:
            try:
                found = await restored(self._store, key, depth, window)
            except ShallowError as error:  # its window was larger once
                depth = error.depth
                continue
            if found.length == 0:
                found.state.initial_history = self._seed()
            return found

    async def _beat(self) -> None:
        """Keep the leases that are in use."""
        assert self._leases is not None
        while True:
            await asyncio.sleep(self._lease_seconds / 3)
            leases = [hold.lease for hold in self._holds.values() if hold.lease is not None]
            if not leases:
                continue
            try:
                kept = await self._leases.renew(leases, self._lease_seconds)
            except StoreError as error:
                logger.warning("Leases could not be renewed, next try in %.0f s: %s", self._lease_seconds / 3, error)
                continue
            except Exception:  # whatever it is, those who hold a conversation go on holding it
                logger.exception("Leases could not be renewed, next try in %.0f s", self._lease_seconds / 3)
                continue
            still = {hold.lease for hold in self._holds.values()}  # others were given back meanwhile
            for lease in set(leases).intersection(still).difference(kept):
                logger.warning("The conversation %s was taken over by another process", lease.key)

    def _shorten(self, hold: Hold) -> None:
        """A long conversation that was held for long is read again when it is needed: its newest turns suffice."""
        window = self._window()
        if window is not None and len(hold.known.numbers) > 4 * window + 64:
            hold.restored = None

    def _let_go(self) -> None:
        """Drop what is idle, and the longest idle beyond what may stay."""
        now = self._clock()
        surplus = len(self._holds) - self._max_loaded
        gone: list[str] = []
        for key, hold in self._holds.items():
            if surplus <= len(gone) and now - hold.last_used < self._idle:
                break
            if hold.users == 0:
                gone.append(key)
        for key in gone:
            del self._holds[key]
