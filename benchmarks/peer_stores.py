"""Stores of other libraries that keep turns of the same 800 characters, measured in the peers' environment.

They open their files as they do by themselves: with a write-ahead log, and flushed to the disk at each commit.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from functools import lru_cache
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from measure import bytes_written, loop

CHARACTERS = 800
LONG = 5000


def _text(place: int, side: str) -> str:
    return f"{side}{place:06}".ljust(CHARACTERS // 2, "x")


def _items(start: int, count: int) -> list[dict[str, str]]:
    sides = (("user", "question"), ("assistant", "answer"))
    return [
        {"role": role, "content": _text(place, side)} for place in range(start, start + count) for role, side in sides
    ]


class AgentsSqlite:
    """``SQLiteSession`` of the OpenAI Agents SDK, one for each conversation; an item for each message."""

    name = "OpenAI SQLiteSession"

    async def open(self, path: str) -> None:
        self._path = path
        self._sessions: dict[str, Any] = {}

    def _session(self, key: str) -> Any:
        from agents import SQLiteSession

        if key not in self._sessions:
            self._sessions[key] = SQLiteSession(key, self._path)
        return self._sessions[key]

    async def append(self, key: str, start: int, count: int) -> None:
        await self._session(key).add_items(_items(start, count))

    async def load(self, key: str, count: int) -> Any:
        return await self._session(key).get_items(2 * count)

    async def close(self) -> None:
        for session in self._sessions.values():
            session.close()


class AgentsSqlAlchemy(AgentsSqlite):
    """``SQLAlchemySession`` of the OpenAI Agents SDK over aiosqlite, with one engine for all conversations."""

    name = "OpenAI SQLAlchemySession"

    async def open(self, path: str) -> None:
        from sqlalchemy.ext.asyncio import create_async_engine

        await super().open(path)
        self._engine = create_async_engine(f"sqlite+aiosqlite:///{path}")

    def _session(self, key: str) -> Any:
        from agents.extensions.memory import SQLAlchemySession

        if key not in self._sessions:
            self._sessions[key] = SQLAlchemySession(key, engine=self._engine, create_tables=True)
        return self._sessions[key]

    async def close(self) -> None:
        await self._engine.dispose()


class LangGraph:
    """``AsyncSqliteSaver`` of LangGraph: a checkpoint a turn, which holds all messages, as a ``MessagesState`` does.

    A graph of LangGraph's writes several checkpoints a turn; here it is one.
    """

    name = "LangGraph AsyncSqliteSaver"

    async def open(self, path: str) -> None:
        from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

        self._context = AsyncSqliteSaver.from_conn_string(path)
        self._saver = await self._context.__aenter__()
        self._threads: dict[str, tuple[dict[str, Any], list[dict[str, str]]]] = {}

    async def append(self, key: str, start: int, count: int) -> None:
        from langgraph.checkpoint.base import empty_checkpoint

        begin: dict[str, Any] = {"configurable": {"thread_id": key, "checkpoint_ns": ""}}
        config, messages = self._threads.get(key, (begin, []))
        messages += _items(start, count)
        checkpoint = {
            **empty_checkpoint(),
            "channel_values": {"messages": messages},
            "channel_versions": {"messages": start + count},
        }
        metadata = {"source": "loop", "step": start, "parents": {}}
        config = await self._saver.aput(config, checkpoint, metadata, {"messages": start + count})
        self._threads[key] = (config, messages)

    async def load(self, key: str, count: int) -> Any:
        found = await self._saver.aget_tuple({"configurable": {"thread_id": key, "checkpoint_ns": ""}})
        return found.checkpoint["channel_values"]["messages"][-2 * count :]

    async def close(self) -> None:
        await self._context.__aexit__(None, None, None)


PEERS: dict[str, type[Any]] = {"agents": AgentsSqlite, "sqlalchemy": AgentsSqlAlchemy, "langgraph": LangGraph}


class _File:
    def __init__(self, peer: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="dspy-session-bench-")
        self._path = Path(self._folder.name) / "turns.db"
        self.store = PEERS[peer]()
        self.lengths: dict[str, int] = {}
        loop().run(self.store.open(str(self._path)))

    async def append(self, key: str, count: int) -> float:
        start = self.lengths.get(key, 0)
        self.lengths[key] = start + count
        began = time.perf_counter()
        await self.store.append(key, start, count)
        return time.perf_counter() - began

    def close(self) -> None:
        loop().run(self.store.close())
        self._folder.cleanup()


@lru_cache
def _files() -> dict[str, _File]:
    return {}


def _file(peer: str) -> _File:
    return _files().get(peer) or _files().setdefault(peer, _File(peer))


def close() -> None:
    """Let go of the files that are kept from call to call; else their threads would not let the process end."""
    while _files():
        _files().popitem()[1].close()


def _long(peer: str, length: int) -> _File:
    """The file, with a conversation of that length in it."""
    file = _file(peer)
    if file.lengths.get(str(length), 0) < length:
        loop().run(file.append(str(length), length))
    return file


def appends(peer: str, length: int, calls: int) -> float:
    """Seconds of one turn more, the conversation ``length`` long."""
    file = _long(peer, length)
    key = str(length) if length >= 1000 else f"{length}:{time.monotonic_ns()}"

    async def measured() -> list[float]:
        if key not in file.lengths:
            await file.append(key, length)
        await file.append(key, 1)
        return [await file.append(key, 1) for _ in range(calls)]

    return median(loop().run(measured()))


def loads(peer: str, length: int, count: int, calls: int) -> float:
    """Seconds to read the last ``count`` turns."""
    file = _long(peer, length)

    async def measured() -> list[float]:
        found = []
        for _ in range(calls):
            began = time.perf_counter()
            await file.store.load(str(length), count)
            found.append(time.perf_counter() - began)
        return found

    return median(loop().run(measured()))


def written(peer: str, length: int, turns: int) -> float:
    """Bytes written a turn, what folding the log back into the file writes among them."""
    file = _long(peer, length)

    async def measured() -> float:
        await file.append(str(length), 1)
        before = bytes_written()
        for _ in range(turns):
            await file.append(str(length), 1)
        return (bytes_written() - before) / turns

    return loop().run(measured())


def at_once(peer: str, conversations: int, turns: int) -> dict[str, float]:
    """Seconds until all conversations have gone on, at once, and the 99th percentile of a turn's."""
    file = _File(peer)
    waits: list[float] = []

    async def talk(key: str) -> None:
        waits.extend([await file.append(key, 1) for _ in range(turns)])

    async def measured() -> float:
        for place in range(conversations):
            await file.append(str(place), 1)
        waits.clear()
        began = time.perf_counter()
        await asyncio.gather(*(talk(str(place)) for place in range(conversations)))
        return time.perf_counter() - began

    seconds = loop().run(measured())
    file.close()
    return {"seconds": seconds, "p99": quantiles(waits, n=100)[98]}


def loads_file(turns: int) -> float:
    """Seconds that ``Session.load_from`` of dspy-session 0.1.2 takes for a saved session of that many turns."""
    from programs import Parrot, fill

    import dspy_session

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "session.json"
        session = dspy_session.Session(Parrot(), history_policy="use_if_provided")
        fill(session, turns, CHARACTERS // 2).save(path)
        began = time.perf_counter()
        dspy_session.Session.load_from(path, Parrot())
        return time.perf_counter() - began
