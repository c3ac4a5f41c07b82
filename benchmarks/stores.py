"""Stores of this environment that keep turns, each behind the same few verbs; ``peer_stores`` has the others."""

from __future__ import annotations

import asyncio
import gc
import itertools
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import floor
import journals
from measure import bytes_written, loop

KEY = "slack:T1:C1"
LONG = 5000


class Raw:
    """Python's own ``sqlite3`` in a thread."""

    name = "sqlite3 in a thread"

    async def open(self, path: str) -> None:
        floor.make(path)
        self._writer, self._reader = floor.Thread(path), floor.Thread(path, writes=False)

    def appending(self, commit: Any) -> Callable[[], Awaitable[Any]]:
        return partial(self._writer.do, floor.append(commit))

    async def load(self, count: int) -> Any:
        return await self._reader.do(floor.last(KEY, count))

    async def close(self) -> None:
        self._reader.stop()
        self._writer.stop()


class Ours:
    """A ``SqliteStore``."""

    name = "SqliteStore"

    async def open(self, path: str) -> None:
        from dspy_session.stores.sqlite import SqliteStore

        self.store = SqliteStore(path)
        await self.store.open()

    def appending(self, commit: Any) -> Callable[[], Awaitable[Any]]:
        return partial(self.store.commit, commit)

    async def load(self, count: int) -> Any:
        return await self.store.read(KEY, count)

    async def state(self, count: int) -> Any:
        """What ``Conversations`` needs to go on: as deep as it reads."""
        from dspy_session.conversation.restoring import restore

        return restore(await self.store.read(KEY, 2 * count), "conversation", count)

    async def close(self) -> None:
        await self.store.aclose()


class Whole:
    """A turn of ``Conversations``, with a module that answers at once."""

    name = "Conversations.acall"

    async def open(self, path: str) -> None:
        from programs import Parrot

        from dspy_session.conversation import Conversations
        from dspy_session.session import Session

        self._conversations = Conversations(Session(Parrot(), max_turns=journals.WINDOW), f"sqlite:///{path}")
        await self._conversations.open()

    def appending(self, commit: Any) -> Callable[[], Awaitable[Any]]:
        if len(commit.entries) > 1:
            return partial(self._conversations.store.commit, commit)
        from programs import question

        asked = question(commit.expected, journals.CHARACTERS // 2)
        return partial(self._conversations.acall, commit.key, question=asked)

    async def load(self, count: int) -> Any:
        raise NotImplementedError

    async def close(self) -> None:
        await self._conversations.aclose()


SUBJECTS: dict[str, type[Any]] = {"raw": Raw, "ours": Ours, "whole": Whole}


class File:
    """A store in a folder that goes when this does, and a conversation in it that is appended to."""

    def __init__(self, subject: str, *, used: bool = True) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="dspy-session-bench-")
        self.path = Path(self._folder.name) / "turns.db"
        self.store = SUBJECTS[subject]()
        self.key, self.length = KEY, 0
        loop().run(self.store.open(str(self.path)))
        if used:  # so that the log has its full length, as it has in a file that serves for a while
            self.begin("another", LONG)

    def begin(self, key: str, length: int) -> None:
        """Go on with a new conversation of that length."""
        self.key, self.length = key, length
        if length:
            loop().run(_awaited(self.store.appending(journals.commit(key, 0, length))))

    def commits(self, count: int, *, deliver: bool = False) -> list[Callable[[], Awaitable[Any]]]:
        """What appends ``count`` turns more, one after the other."""
        start, self.length = self.length, self.length + count
        made = [journals.commit(self.key, place, deliver=deliver) for place in range(start, start + count)]
        return [self.store.appending(commit) for commit in made]

    def close(self) -> int:
        """Let go of the file; its size in bytes."""
        loop().run(self.store.close())
        return self.path.stat().st_size


async def _awaited(call: Callable[[], Awaitable[Any]]) -> Any:
    return await call()


async def _timed(calls: Iterable[Callable[[], Awaitable[Any]]]) -> list[float]:
    """Seconds that each call takes, one after the other."""
    found = []
    for call in calls:
        started = time.perf_counter()
        await call()
        found.append(time.perf_counter() - started)
    return found


def in_turns(calls: Mapping[str, Sequence[Callable[[], Awaitable[Any]]]]) -> dict[str, float]:
    """Median seconds of each one's calls; the subjects take turns, and who begins changes: a call's flush to the disk
    may be slower for what the one before it has written."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)

    async def measured() -> None:
        gc.disable()
        for place in range(len(calls[names[0]])):
            for name in names[place % len(names) :] + names[: place % len(names)]:
                found[name] += await _timed([calls[name][place]])
        gc.enable()

    loop().run(measured())
    return {name: median(seconds) for name, seconds in found.items()}


@lru_cache
def _file(subject: str) -> File:
    return File(subject)


_names = itertools.count()


@lru_cache
def _long(subject: str, length: int) -> File:
    file = File(subject, used=False)
    file.begin(KEY, length)
    return file


def appends(subjects: list[str], length: int, calls: int) -> dict[str, float]:
    """Seconds of one durable turn more by subject, the conversation ``length`` long."""
    work = {}
    for subject in subjects:
        if length < 1000:  # a short conversation would be a long one soon
            file = _file(subject)
            file.begin(f"{KEY}:{next(_names)}", length)
        else:
            file = _long(subject, length)
        loop().run(_timed(file.commits(2)))
        work[subject] = file.commits(calls)
    return in_turns(work)


def loads(length: int, count: int, calls: int) -> dict[str, float]:
    """Seconds to read the last ``count`` turns: as rows, by ``SqliteStore.read``, and as a state to go on with."""
    raw, ours = _long("raw", length).store, _long("ours", length).store
    reads = {"raw": raw.load, "read": ours.load, "state": ours.state}
    return in_turns({name: [partial(read, count)] * calls for name, read in reads.items()})


def written(subject: str, length: int, turns: int, deliver: bool) -> float:
    """Bytes written a turn, what folding the log back into the file writes among them."""
    file = File(subject)
    file.begin(KEY, length)
    calls = file.commits(turns, deliver=deliver)
    before = bytes_written()
    loop().run(_timed(calls))
    wrote = (bytes_written() - before) / turns
    file.close()
    return wrote


def stored(subject: str, turns: int) -> float:
    """Bytes of the file a turn, the turns written one by one."""
    file = File(subject, used=False)
    loop().run(_all([file.commits(turns)], []))
    return file.close() / turns


async def _all(conversations: Sequence[Sequence[Callable[[], Awaitable[Any]]]], waits: list[float]) -> float:
    """Seconds until all conversations have gone on, at once; what each turn waited goes into ``waits``."""

    async def talk(calls: Sequence[Callable[[], Awaitable[Any]]]) -> None:
        waits.extend(await _timed(calls))

    started = time.perf_counter()
    await asyncio.gather(*(talk(calls) for calls in conversations))
    return time.perf_counter() - started


def _files_open() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def at_once(subject: str, conversations: int, turns: int) -> dict[str, float]:
    """Conversations that are appended to at once, one turn after the other in each: seconds, p99, files opened."""
    before = _files_open()
    file = File(subject)
    opened = _files_open() - before
    work = []
    for _ in range(conversations):
        file.begin(f"{KEY}:{next(_names)}", 0)
        work.append(file.commits(turns))
    waits: list[float] = []
    seconds = loop().run(_all(work, waits))
    file.close()
    return {"seconds": seconds, "p99": quantiles(waits, n=100)[98], "files": opened}
