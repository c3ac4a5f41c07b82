"""A message all the way, in PostgreSQL: kept, taken up, answered, written down with what a sink is to be told."""

from __future__ import annotations

import asyncio
import importlib
import itertools
import json
import pkgutil
import time
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import journals
from measure import loop
from row import Row
from worker import Run

CONVERSATIONS, MESSAGES, ROUNDS = 100, 5, 7
CONNECTIONS = 10
_numbers = itertools.count()


class _Sink:
    """Is told of every turn; nothing is delivered, since that is no part of what is measured."""

    name = journals.SINK
    batch, concurrency, timeout = 20, 1, 10.0

    def encode(self, event: Any) -> Any:
        from dspy_session.conversation.envelope import Selection, delivery

        return delivery(self.name, event, Selection.of())

    async def deliver(self, batch: Any) -> Any:
        raise NotImplementedError

    async def aopen(self) -> None:
        """Nothing to open."""

    async def aclose(self, grace: float = 5.0) -> None:
        """Nothing is open."""


def _keys() -> list[str]:
    number = next(_numbers)
    return [f"slack:T1:C{number}.{place}" for place in range(CONVERSATIONS)]


def _arrival(key: str, number: int) -> Any:
    from programs import question

    from dspy_session.stores import Arrival

    payload = '{"text":"' + question(number, journals.CHARACTERS // 2) + '"}'
    return Arrival(key, f"event:{number}", payload, 1.8e9 + number, time.time(), "slack:T1:U1")


class _Ours:
    """A ``Runtime`` over ``Conversations`` over a ``PostgresStore``; each message's conversation is read anew."""

    async def open(self, url: str) -> None:
        from programs import Parrot, question

        from dspy_session import Session
        from dspy_session.conversation import Conversations, TurnRequest
        from dspy_session.conversation.runtime import Runtime
        from dspy_session.stores.postgres import PostgresStore

        session = Session(Parrot(), max_turns=journals.WINDOW)
        store = PostgresStore(url, connections=CONNECTIONS)
        self.conversations = Conversations(session, store, sinks=[_Sink()], max_loaded=0)
        await self.conversations.open()
        await self.conversations.telling.aclose(0)
        self._answered: dict[tuple[str, str], asyncio.Future[None]] = {}

        async def handle(job: Any) -> None:
            arrival = job.work.arrival
            number = int(arrival.event_id.split(":")[1])
            request = TurnRequest(
                arrival.key,
                {"question": question(number, journals.CHARACTERS // 2)},
                event_id=arrival.event_id,
                author=arrival.author,
                received=True,
            )
            await job.turn(request).run()
            self._answered.pop((arrival.key, arrival.event_id)).set_result(None)

        self._runtime = Runtime(self.conversations, handle)
        self._runtime.start()

    async def message(self, key: str, number: int) -> None:
        arrival = _arrival(key, number)
        answered = self._answered[key, arrival.event_id] = asyncio.get_running_loop().create_future()
        await self._runtime.receive(arrival)
        await answered

    async def close(self) -> None:
        await self._runtime.drain(5)
        await self.conversations.aclose()


class _Floor:
    """The statements that this takes, each transaction as ours has it, with values that were made beforehand."""

    async def open(self, url: str) -> None:
        import asyncpg

        from dspy_session.stores.postgres import PostgresStore

        store = PostgresStore(url)
        await store.open()  # makes the tables
        await store.aclose()
        address, schema = url.split("?schema=")
        self._schema = f'"{schema}".'
        self._pool = await asyncpg.create_pool(address, min_size=CONNECTIONS, max_size=CONNECTIONS, reset=_leave)

    async def _run(self, *statements: tuple[Any, ...]) -> Any:
        async with self._pool.acquire() as connection, connection.transaction():
            rows = []
            for sql, *values in statements:
                rows = await connection.fetch(sql.replace("store.", self._schema), *values)
            return rows

    async def message(self, key: str, number: int) -> None:
        sql, a = _statements(), _arrival(key, number)
        await self._run((sql["RECEIVE"], key, a.event_id, a.author, a.payload, a.sent_at, a.received_at, "x"))
        ((fence, length),) = await self._run((sql["ACQUIRE"], key, "floor", 30.0, []))
        await self._run((sql["HELD"], key, "floor", fence), (sql["TAKE"], key))
        await self._run((sql["READ"], key, 2 * journals.WINDOW))
        await self._run((sql["COMMIT"], key, *_commits()[number](length, fence, a.event_id)))
        await self._run((sql["RELEASE"], key, "floor", fence))

    async def close(self) -> None:
        await self._pool.close()


async def _leave(connection: Any) -> None:
    """Leave a connection as it is, as ours does."""


@lru_cache
def _statements() -> dict[str, str]:
    """The store's own, by name, wherever in the store each stands."""
    import dspy_session.stores.postgres as store

    found = {}
    for module in pkgutil.iter_modules(store.__path__):
        names = vars(importlib.import_module(f"{store.__name__}.{module.name}"))
        for name in ("RECEIVE", "ACQUIRE", "HELD", "TAKE", "READ", "COMMIT", "RELEASE"):
            if f"_{name}" in names:
                found[name] = names[f"_{name}"]
    return found


@lru_cache
def _commits() -> list[Any]:
    """Makes the values of a commit, by the number of a turn."""
    found = []
    for place in range(MESSAGES):
        made = journals.commit("", place, deliver=True)
        (entry,), (told,) = made.entries, made.deliveries
        marks = json.dumps(made.marks)

        def values(length: int, fence: int, event_id: str, *, e: Any = entry, d: Any = told, marks: str = marks) -> Any:
            deliveries = ([d.sink], [d.id], [d.body], [d.at], length, length)
            entries = ([e.kind], [e.body], [e.at], [e.previous], [e.about], [e.author])
            return *deliveries, length, marks, *entries, fence, "floor", event_id, "", True

        found.append(values)
    return found


SUBJECTS = {"ours": _Ours, "floor": _Floor}


@lru_cache
def _subject(name: str) -> Any:
    from servers import postgres

    subject = SUBJECTS[name]()
    loop().run(subject.open(postgres().url(name)))
    return subject


def messages(subject: str) -> float:
    """Seconds a message: a hundred conversations, in each one message after the other."""
    _commits()
    working = _subject(subject)
    keys = _keys()

    async def talk(key: str) -> None:
        for number in range(MESSAGES):
            await working.message(key, number)

    async def measured() -> float:
        began = time.perf_counter()
        await asyncio.gather(*(talk(key) for key in keys))
        return (time.perf_counter() - began) / (CONVERSATIONS * MESSAGES)

    return loop().run(measured())


def close() -> None:
    """Stop everything."""
    from servers import stop

    for subject in SUBJECTS:
        loop().run(_subject(subject).close())
    stop()


def rows(run: Run) -> Iterator[Row]:
    """The lines of the table."""
    found: dict[str, list[float]] = {"ours": [], "floor": []}
    for place in range(ROUNDS + 1):
        for subject in ("ours", "floor") if place % 2 else ("floor", "ours"):
            seconds = run.ours(messages, subject=subject)
            if place:  # the first one prepares statements and fills caches
                found[subject].append(seconds)
    run.ours(close)
    run.keep("seconds", found)
    yield Row.of(
        f"a whole message in PostgreSQL, {CONVERSATIONS} conversations",
        "s",
        found["ours"],
        found["floor"],
        peer_name="its statements",
        limit=2,
        note=f"{1 / min(found['ours']):,.0f} messages/s in the best round; the target is half of the floor's",
    )
