"""What looks after messages and leases in the background outlives whatever a store may raise."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from functools import partial

import dspy

from dspy_session import sessionify
from dspy_session.conversation.runtime import Runtime
from dspy_session.stores import Arrival, Lease, MemoryStore
from dspy_session_chat import Bot
from tests.chat.places import Place, message

KEY = str(message("x").key)


class Surprising(MemoryStore):
    """Raises what no store should, once in a while."""

    def __init__(self) -> None:
        super().__init__()
        self.looked = 0
        self.renewed = asyncio.Event()
        self.renewals = 0

    async def waiting(self, limit: int) -> Sequence[str]:
        self.looked += 1
        if self.looked == 1:
            raise RuntimeError("a driver's mistake")
        return await super().waiting(limit)

    async def renew(self, leases: Sequence[Lease], seconds: float) -> Sequence[Lease]:
        self.renewals += 1
        if self.renewals == 1:
            raise RuntimeError("a driver's mistake")
        self.renewed.set()
        return await super().renew(leases, seconds)


class Waiting(dspy.Module):
    """Answers once it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may = asyncio.Event()

    async def aforward(self, message: str, history: dspy.History) -> dspy.Prediction:
        await self.may.wait()
        return dspy.Prediction(reply="done")


async def test_messages_that_were_left_behind_are_found_though_a_look_failed(monkeypatch):
    monkeypatch.setattr("dspy_session_chat.bot.Runtime", partial(Runtime, poll=0.05))
    store, agent, place = Surprising(), Waiting(), Place()
    agent.may.set()
    bot = Bot(sessionify(agent, copy_mode="none"), platforms=[place], store=store)
    left = message("left behind")
    await store.open()
    payload = '{"platform": "place", "message": ' + json.dumps(left.to_json()) + "}"
    await store.receive(Arrival(KEY, left.event_id, payload, 1.0, 1.0))
    async with bot:
        assert await place.posted(1) == ["done"]
    assert store.looked > 1


async def test_leases_are_renewed_though_a_renewal_failed():
    store, agent, place = Surprising(), Waiting(), Place()
    bot = Bot(sessionify(agent, copy_mode="none"), platforms=[place], store=store, lease_seconds=0.15)
    async with bot:
        await place.say(message("one"))
        async with asyncio.timeout(10):
            await store.renewed.wait()
        agent.may.set()
        assert await place.posted(1) == ["done"]
