"""A function that is told what happens in conversations."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import random as random_numbers
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from dspy_session.codec import to_json
from dspy_session.conversation.envelope import Encode, Redact, Selection, delivery, with_id
from dspy_session.conversation.protocols import ConversationEvent
from dspy_session.conversation.schedule import after_failure
from dspy_session.errors import ConfigurationError
from dspy_session.stores.outgoing import Batch, Delivery, Settlement
from dspy_session.threads import arun_in_thread

logger = logging.getLogger(__name__)

Told = Callable[[dict[str, Any]], Awaitable[object] | object]
"""Is told of an event: ``{"id": …, "type": …, "timestamp": …, "data": …}``. What it raises has it told again."""


class Callback:
    """Tells a function what happens in conversations: in order in each, again until it returns without an error.

    A function that is not async runs in a thread. The same event may come twice, with the same ``"id"``. After ten
    attempts over three and a half days a conversation is parked.

    Args:
        function: Is told; async or not.
        name: What a store knows it by: the same after a restart, another for another function.
        events: The types of events that it is told of; all if None.
        fields: The only inputs and outputs that it is told; None for all.
        redact: Names of fields whose values are replaced by ``"[redacted]"``, or a function that makes of a value what
            may be told, ``(name, value) -> value``. A field for which that fails is left out.
        timeout: Seconds that a call may take. A thread cannot be stopped: the function may still be at it when it is
            called again.
        concurrency: Calls at once, each for another conversation.
        encode: Turns values into JSON; raises for those that it can't, which are left out.
        random: Spreads retries: returns numbers from 0 up to 1.

    Raises:
        ConfigurationError: A name or a number doesn't fit.
    """

    batch = 1  # with more, an error in the last call would have all those before it made again

    def __init__(
        self,
        function: Told,
        *,
        name: str,
        events: Iterable[str] | None = None,
        fields: Iterable[str] | None = None,
        redact: Redact | Iterable[str] | None = None,
        timeout: float = 30.0,
        concurrency: int = 8,
        encode: Encode = to_json,
        random: Callable[[], float] = random_numbers.random,
    ) -> None:
        if not name:
            raise ConfigurationError("a callback needs a name that a store can know it by")
        for option, number in (("timeout", timeout), ("concurrency", concurrency)):
            if not number > 0:
                raise ConfigurationError(f"a callback's {option} must be greater than 0, not {number!r}")
        self.name = name
        self.timeout = timeout
        self.concurrency = concurrency
        self._function = function
        self._selection = Selection.of(events=events, fields=fields, redact=redact, encode=encode)
        self._random = random

    def __repr__(self) -> str:
        return f"Callback({self.name!r})"

    def encode(self, event: ConversationEvent) -> Delivery | None:
        """What is to be told of ``event``, None for nothing. The same event makes the same bytes."""
        return delivery(self.name, event, self._selection)

    async def aopen(self) -> None:
        """Nothing has to be opened."""

    async def deliver(self, batch: Batch) -> Settlement:
        """Call the function for each delivery; what follows from that."""
        try:
            async with asyncio.timeout(self.timeout):
                for each in batch.deliveries:
                    await self._call(json.loads(with_id(each.id, each.body)))
        except TimeoutError:
            reason = "timed out"
        except Exception as error:  # somebody else's code
            # What it says may hold a secret, so a listing gets its type only; whoever wrote it needs all of it.
            reason = f"raised {type(error).__name__}"
            level = logging.WARNING if batch.attempt == 1 else logging.INFO
            logger.log(level, "callback %s: failed", self.name, exc_info=True)
        else:
            return Settlement("delivered")
        return after_failure(batch.attempt, reason, jitter=self._random())

    async def aclose(self, grace: float = 5.0) -> None:
        """Nothing is held."""

    async def _call(self, event: dict[str, Any]) -> None:
        function = self._function
        if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
            result = function(event)
        else:
            result = await arun_in_thread(lambda: function(event))
        if inspect.isawaitable(result):
            await result
