"""The sinks of many conversations: some are told at once, the others by way of the store's outbox."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence

from dspy_session.conversation.dispatch import Dispatcher
from dspy_session.conversation.protocols import ConversationEvent, DurableSink, Sink
from dspy_session.errors import ConfigurationError
from dspy_session.stores import Delivery, Outbox, Store

logger = logging.getLogger(__name__)


class Telling:
    """Who is told of what happens, and how.

    Args:
        store: Where what is to be told waits, if it has an outbox.
        sinks: Who is told.

    Raises:
        ConfigurationError: A sink cannot be told with this store, or two have the same name.
    """

    def __init__(self, store: Store, sinks: Sequence[Sink | DurableSink]) -> None:
        self.durable: tuple[DurableSink, ...] = ()
        """Those that are told by way of the store."""
        self.listeners: tuple[Sink, ...] = ()
        """Those that are told at once, after the commit."""
        self._outbox = store if isinstance(store, Outbox) else None
        for sink in sinks:
            if self._outbox is not None and isinstance(sink, DurableSink):
                self.durable += (sink,)
            elif isinstance(sink, Sink):
                self.listeners += (sink,)
            else:
                raise ConfigurationError(
                    f"{type(sink).__name__} needs a store with an outbox, or is no sink: it has no send(event)"
                )
        self._dispatcher: Dispatcher | None = None
        if self.durable and self._outbox is not None:
            self._dispatcher = Dispatcher(self._outbox, self.durable)

    def deliveries(self, event: ConversationEvent) -> list[Delivery]:
        """What is to be written with an event, to be told of it from there."""
        return [delivery for sink in self.durable if (delivery := sink.encode(event)) is not None]

    async def open(self) -> None:
        """Begin to tell; the store is open."""
        if self._dispatcher is not None:
            await self._dispatcher.open()
        if self._outbox is not None:
            await self._warn_of_strays(self._outbox)

    def wake(self) -> None:
        """Something was written that is to be told."""
        if self._dispatcher is not None:
            self._dispatcher.wake()

    async def aclose(self, grace: float) -> None:
        """Tell by way of the store what is due within ``grace`` seconds, then no more; the rest stays there."""
        if self._dispatcher is not None:
            await self._dispatcher.aclose(grace)

    async def _warn_of_strays(self, outbox: Outbox) -> None:
        """Say what waits for sinks that are not here: nobody would ever deliver it."""
        known = {sink.name for sink in self.durable}
        waiting: Counter[str] = Counter()
        for lane in await outbox.lanes():
            waiting[lane.sink] += lane.waiting
        for sink, count in waiting.items():
            if sink not in known:
                logger.warning("%d deliveries wait for the sink %s, which this program does not have", count, sink)
