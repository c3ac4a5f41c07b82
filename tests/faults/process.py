"""The program of one bot: a real bot on a real store, that can be held at every point that matters."""

from __future__ import annotations

import asyncio
import logging
import random
import time
import traceback
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import dspy

from dspy_session import sessionify
from dspy_session.conversation import patience
from dspy_session.errors import StaleJournalError, StoreBusyError
from dspy_session.stores import SqliteStore
from dspy_session.stores.incoming import Arrival, Posting
from dspy_session.stores.outgoing import Batch, Settlement
from dspy_session.stores.postgres import PostgresStore
from dspy_session.stores.protocol import Commit, Lease
from dspy_session.stores.sqlite import schema
from dspy_session_chat import Bot, Limits, Manners, ask_first
from dspy_session_webhook import Webhook
from tests.faults import skewed
from tests.faults.wire import EditingWire, StreamingWire, Wire
from tests.stub_lm import Prompt, StubModel

POLL = 0.1
"""Seconds after which a bot looks for what another one left behind."""


class Counting(dspy.Module):
    """Says what it was told and how many turns it sees: what is lost, doubled or out of order shows in the answer.

    Args:
        wire: Whom it asks before it answers, as it would ask a model.
        seconds: How long it thinks at most.
    """

    def __init__(self, wire: Wire, seconds: float) -> None:
        super().__init__()
        self.wire = wire
        self.seconds = seconds

    async def aforward(self, message: str, history: dspy.History) -> dspy.Prediction:
        await self.wire.point("model", text=message)
        if self.seconds:
            await asyncio.sleep(random.uniform(0.0, self.seconds))  # a model takes its time
        return dspy.Prediction(reply=f"{message} #{len(history.messages)}")


class Asking(dspy.Module):
    """Deletes what it is told to, with a tool that asks people first; the town writes down what it ran with.

    Args:
        wire: The town.
    """

    def __init__(self, wire: Wire) -> None:
        super().__init__()

        async def delete(name: str) -> str:
            await wire.ask("ran", text=name)
            await wire.point("ran", text=name)
            return f"{name} is deleted"

        self.delete = ask_first(delete, who="anyone")

    async def aforward(self, message: str) -> dspy.Prediction:
        return dspy.Prediction(reply=await self.delete(name=message))


class Speaking:
    """What ``Counting`` says, by a model that says it bit by bit: between the words and the number it may be held.

    Args:
        wire: Who is asked.
        seconds: How long it takes at most between the two.
    """

    def __init__(self, wire: Wire, seconds: float) -> None:
        self._wire = wire
        self._seconds = seconds
        self._under_way: set[asyncio.Task[None]] = set()
        self.lm = StubModel(self._answer).lm

    async def _answer(self, prompt: Prompt) -> list[Any]:
        before = sum(message["role"] == "user" for message in prompt.messages[:-1])
        message, said = prompt.inputs["message"], asyncio.Event()
        task = asyncio.create_task(self._pause(said))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return ["[[ ## reply ## ]]\n", f"{message} ", said, f"#{before}", "\n\n[[ ## completed ## ]]"]

    async def _pause(self, said: asyncio.Event) -> None:
        await self._wire.point("growing")
        if self._seconds:
            await asyncio.sleep(random.uniform(0.0, self._seconds))
        said.set()


class _Watched:
    """A store that can be held before and after its commits, and whose sinks' hours are short.

    Args:
        url: The store.
        wire: Who is asked.
        pace: What part of its time a delivery waits until it is tried again.
        claim: Seconds that a lane is claimed for at most.
        options: What the store takes besides.
    """

    def __init__(self, url: str, wire: Wire, pace: float, claim: float, **options: Any) -> None:
        super().__init__(url, **options)
        self._wire = wire
        self._pace = pace
        self._claim = claim

    async def commit(self, commit: Commit) -> None:
        what = {
            "key": commit.key,
            "event": commit.settled.event_id if commit.settled else "",
            "fence": commit.lease.fence if commit.lease else 0,
        }
        await self._wire.point("commit", **what)
        try:
            await super().commit(commit)  # type: ignore[misc]
        except StaleJournalError:
            await self._wire.point("stale", **what)
            raise
        await self._wire.point("committed", **what)

    async def receive(self, arrival: Arrival) -> bool:
        await self._wire.point("receiving", event=arrival.event_id)
        is_new: bool = await super().receive(arrival)  # type: ignore[misc]
        await self._wire.point("received", event=arrival.event_id)
        return is_new

    async def posted(self, lease: Lease, posting: Posting) -> None:
        await super().posted(lease, posting)  # type: ignore[misc]
        if not posting.done:
            await self._wire.point("noted", event=posting.event_id)

    async def changed(self, seconds: float) -> None:
        await super().changed(min(seconds, POLL))  # type: ignore[misc]

    async def claim(self, sink: str, limit: int, seconds: float) -> Batch | None:
        return await super().claim(sink, limit, min(seconds, self._claim))  # type: ignore[misc,no-any-return]

    async def settle(self, batch: Batch, settlement: Settlement) -> bool:
        soon = replace(settlement, delay=settlement.delay * self._pace, hold=settlement.hold * self._pace)
        return await super().settle(batch, soon)  # type: ignore[misc,no-any-return]


class _WatchedPostgres(_Watched, PostgresStore):
    pass


class _WatchedSqlite(_Watched, SqliteStore):
    pass


def _store(config: dict[str, Any], wire: Wire) -> _WatchedPostgres | _WatchedSqlite:
    options = (wire, config["pace"], config["claim_seconds"])
    if not config["store"].startswith("postgresql:"):
        return _WatchedSqlite(config["store"], *options)
    return _WatchedPostgres(config["store"], *options, patience=config["patience"])


def _agent(config: dict[str, Any], wire: Wire) -> dspy.Module:
    match config["agent"]:
        case "speaking":
            return dspy.Predict("message -> reply")
        case "asking":
            return Asking(wire)
        case _:
            return Counting(wire, config["think"])


def _bot(config: dict[str, Any], wire: Wire) -> Bot:
    return Bot(
        sessionify(_agent(config, wire), copy_mode="none"),
        lm=Speaking(wire, config["think"]).lm,
        platforms=[wire],
        manners=Manners(busy=config["busy"]),
        limits=Limits(per_user=config["per_user"]),
        store=_store(config, wire),
        sinks=[
            Webhook(url, secrets, timeout=config["http_timeout"], allow_loopback=True)
            for url, secrets in config["webhooks"]
        ],
        lease_seconds=config["lease_seconds"],
        grace=config["grace"],
        now=lambda: datetime.fromtimestamp(time.time(), UTC),
    )


def run(config: dict[str, Any]) -> None:
    """Be a bot until SIGTERM.

    Args:
        config: ``port`` and ``name`` as ``Wire`` takes them; ``store``, a URL or a path; ``webhooks``, each a URL and
            its secrets; and what ``Harness.start`` lets a test choose.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", force=True)
    skewed.shift(config["shift"])
    schema.BUSY_SECONDS = config["busy_seconds"]
    patience.FIRST_PAUSE = config["pause"]  # no option, since nobody else needs one
    kind = EditingWire if config["edits"] else StreamingWire if config["streams"] else Wire
    wire = kind(config["port"], config["name"], config["points"])
    while True:
        try:
            _bot(config, wire).run()
        except StoreBusyError:  # the database starts just now: whoever looks after bots starts them again
            time.sleep(POLL)
        except BaseException:
            traceback.print_exc()
            raise
        else:
            return
