"""A runtime that has much to do leaves time for what comes in."""

from __future__ import annotations

import asyncio

import dspy

from dspy_session.conversation import Conversations
from dspy_session.conversation.runtime import Job, Runtime
from dspy_session.stores import Arrival, Lease, MemoryStore, Posting, Settled, Work

WAITING = 100


class CountedStore(MemoryStore):
    """Counts what is taken up."""

    taken = 0

    async def take(self, lease: Lease) -> Work | None:
        self.taken += 1
        return await super().take(lease)


async def test_of_many_that_wait_one_begins_at_a_time():
    store = CountedStore()
    async with Conversations(dspy.Predict("question -> answer"), store) as conversations:

        async def handle(job: Job) -> None:
            await (await job.changing(Settled(job.work.arrival.event_id, received=True))).settle()
            await job.posted(Posting(job.work.arrival.event_id))

        for number in range(WAITING):
            await store.receive(Arrival(f"slack:T1:D{number}", "e", "{}", 1.0, 1.0))
        runtime = Runtime(conversations, handle)
        runtime.start()
        most, before = 0, 0
        while store.taken < WAITING:
            await asyncio.sleep(0)
            most, before = max(most, store.taken - before), store.taken
        await runtime.drain(5.0)

    assert most == 1
