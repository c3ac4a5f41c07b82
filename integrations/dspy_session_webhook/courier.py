"""Carries messages from the lanes to the endpoint, several at once, each when it is due."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import aiohttp

from dspy_session.conversation.clock import Clock
from dspy_session.conversation.schedule import ATTEMPTS
from dspy_session_webhook.lanes import Claim, Lanes
from dspy_session_webhook.resolver import BlockingResolver
from dspy_session_webhook.route import Route
from dspy_session_webhook.schedule import Answer, Decision, Delivered, Disable, Park, Retry, decide

logger = logging.getLogger(__name__)


class Courier:
    """Runs in one event loop and is driven from there; other threads reach it through ``call_soon_threadsafe``.

    Args:
        lanes: Where messages wait.
        route: How to reach the endpoint.
        clock: Tells the time.
        random: Makes the jitter: numbers from 0 up to 1.
    """

    def __init__(self, lanes: Lanes, route: Route, clock: Clock, random: Callable[[], float]) -> None:
        self._lanes = lanes
        self._route = route
        self._clock = clock
        self._random = random
        self._wake = asyncio.Event()
        self._under_way = 0
        self._leave_at: float | None = None
        self._failing = False

    def wake(self) -> None:
        """Look at the lanes again."""
        self._wake.set()

    def finish(self, grace: float) -> None:
        """Return from ``run`` as soon as nothing can be delivered any more within ``grace`` seconds."""
        self._leave_at = self._clock.monotonic() + grace
        self._wake.set()

    async def run(self) -> None:
        """Deliver until ``finish`` was called. When cancelled, what is under way stays in its lane."""
        route = self._route
        client = route.open_client(BlockingResolver())
        async with client, asyncio.TaskGroup() as attempts:
            while True:
                self._wake.clear()
                while (claim := self._next_claim()) is not None:
                    self._under_way += 1
                    attempts.create_task(self._attempt(client, claim))
                if self._finished():
                    return
                await self._clock.wait(self._wake, self._idle_seconds())

    def _next_claim(self) -> Claim | None:
        if self._under_way >= self._route.concurrency:
            return None
        return self._lanes.claim(self._clock.monotonic())

    def _finished(self) -> bool:
        if self._leave_at is None or self._under_way:
            return False
        due = self._lanes.next_due()
        return due is None or due > self._leave_at

    def _idle_seconds(self) -> float | None:
        due = self._lanes.next_due() if self._under_way < self._route.concurrency else None
        return None if due is None else max(due - self._clock.monotonic(), 0.0)

    async def _attempt(self, client: aiohttp.ClientSession, claim: Claim) -> None:
        route = self._route
        try:
            answer = await route.attempt(client, claim.message, self._clock.now())
            decision = decide(claim.attempt, answer, jitter=self._random(), now=self._clock.now())
            given_up = self._lanes.settle(claim, decision, self._clock.monotonic())
            self._report(claim, answer, decision, given_up)
        finally:
            self._under_way -= 1
            self._wake.set()

    def _report(self, claim: Claim, answer: Answer, decision: Decision, given_up: int) -> None:
        origin, message = self._route.endpoint.origin, claim.message
        match decision:
            case Delivered():
                if self._failing:
                    logger.info("webhook to %s: delivers again", origin)
                self._failing = False
            case Retry(delay):
                # The first failure is news; that it goes on is not.
                logger.log(
                    logging.INFO if self._failing else logging.WARNING,
                    "webhook to %s: %s (attempt %d of %d, %s in %s), next in %.0f s",
                    *(origin, answer, claim.attempt, ATTEMPTS, message.id, message.lane, delay),
                )
                self._failing = True
            case Park():
                logger.error(
                    "webhook to %s: %s; %s is parked after %d attempts, from %s on",
                    *(origin, answer, message.lane, claim.attempt, message.id),
                )
            case Disable():
                logger.error("webhook to %s: %s, so it is disabled; %d turns given up", origin, answer, given_up)
