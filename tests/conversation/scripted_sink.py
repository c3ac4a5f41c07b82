"""A sink that does what a test says."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque

from dspy_session.conversation.envelope import Selection, delivery
from dspy_session.stores.outgoing import Delivery, Settlement

DELIVERED = Settlement("delivered")
HANG = "hang"


def retry(delay=5.0, hold=0.0, reason="HTTP 500"):
    return Settlement("retry", delay=delay, hold=hold, reason=reason)


class ScriptedSink:
    """Delivers at once unless told otherwise.

    A step is a settlement, an error to raise, an event to wait for before delivering, or ``HANG``. ``taken`` is what
    ``deliver`` was given, ``told`` the ids that were delivered, by conversation; ``most`` were under way at once.
    """

    def __init__(self, name="crm", *, batch=1, concurrency=4, timeout=20.0):
        self.name, self.batch, self.concurrency, self.timeout = name, batch, concurrency, timeout
        self.taken = []
        self.told = defaultdict(list)
        self.most = self.opened = self.closed = 0
        self.refuses_to_open = 0
        self._under_way = 0
        self._script = deque()
        self._scripts = defaultdict(deque)
        self._always = DELIVERED
        self._changed = asyncio.Condition()

    def behave(self, *steps, conversation=None):
        (self._script if conversation is None else self._scripts[conversation]).extend(steps)

    def always(self, step):
        self._always = step

    async def until(self, condition):
        """Return when ``condition`` holds; it is looked at whenever a batch comes or was dealt with."""
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(condition)

    def encode(self, event):
        return delivery(self.name, event, Selection())

    async def aopen(self):
        if self.refuses_to_open:
            self.refuses_to_open -= 1
            raise PermissionError("not yet")
        self.opened += 1

    async def aclose(self, grace=5.0):
        self.closed += 1

    async def deliver(self, batch):
        self.taken.append(batch)
        self._under_way += 1
        self.most = max(self.most, self._under_way)
        await self._notify()
        try:
            settlement = await self._do(self._next(batch.key))
        finally:
            self._under_way -= 1
        if settlement == DELIVERED:
            self.told[batch.key].extend(each.id for each in batch.deliveries)
        await self._notify()
        return settlement

    def _next(self, key):
        for script in (self._scripts[key], self._script):
            if script:
                return script.popleft()
        return self._always

    async def _do(self, step):
        if step == HANG:
            await asyncio.Event().wait()
        if isinstance(step, BaseException):
            raise step
        if isinstance(step, asyncio.Event):
            await step.wait()
            return DELIVERED
        return step

    async def _notify(self):
        async with self._changed:
            self._changed.notify_all()


def deliveries(sink, *ids, at=0.0):
    return [Delivery(sink, each, b"{}", at) for each in ids]
