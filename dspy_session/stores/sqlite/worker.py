"""A thread that owns a connection and does whatever work is waiting in one transaction.

Conversations that commit at once share one flush to the disk. A task that is cancelled while it waits leaves nothing
behind: its work is done or not done, as a whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypeVar

from dspy_session.errors import StoreBusyError, StoreError

Result = TypeVar("Result")
Settle: TypeAlias = "tuple[asyncio.AbstractEventLoop, asyncio.Future[Any]]"
Item: TypeAlias = "tuple[Callable[[sqlite3.Connection], Any], Settle]"

GROUP = 64
"""Work in one transaction at most; groups of 16 gave 14 times the commits of single ones (FULL, 2 cores)."""


class Worker:
    """Runs functions of a connection in a thread, in the order in which they came.

    Args:
        path: The database, for messages.
        connect: Makes the connection, in the thread.
        writes: True when every function runs in a transaction that is durable before its caller goes on.
    """

    def __init__(self, path: str, connect: Callable[[], sqlite3.Connection], *, writes: bool) -> None:
        self._path = path
        self._connect = connect
        self._writes = writes
        self._work: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._version: int | None = None
        self.others_wrote = False
        """True once another connection has written to the database, as far as is known at the last work here."""

    async def start(self) -> None:
        """Connect.

        Raises:
            StoreError: The database will not do.
        """
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = loop.create_future()
        # Kept before it has connected: who is cancelled meanwhile stops it as well.
        self._thread = threading.Thread(
            target=self._serve, args=((loop, opened),), name=f"sqlite {self._path}", daemon=True
        )
        self._thread.start()
        await opened

    async def do(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """What ``work`` returns; once it has, what it wrote is on the disk."""
        if self._thread is None:
            raise StoreError(f"{self._path} is not open")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Result] = loop.create_future()
        self._work.put((work, (loop, done)))
        return await done

    async def stop(self) -> None:
        """Do what is waiting, then let go of the database."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._work.put(None)
            await asyncio.get_running_loop().run_in_executor(None, thread.join)

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _serve(self, opened: Settle) -> None:
        try:
            db = self._connect()
        except Exception as error:  # noqa: BLE001  # whatever it is, the task that waits must hear of it
            _tell([(opened, None, explained(self._path, error))])
            return
        _tell([(opened, None, None)])
        run = self._write if self._writes else self._read
        with contextlib.closing(db):
            going_on = True
            while going_on:
                group = [self._work.get()]
                with contextlib.suppress(queue.Empty):
                    while len(group) < GROUP:
                        group.append(self._work.get_nowait())
                going_on = None not in group
                _tell(run([item for item in group if item is not None], db))

    def _read(self, group: Sequence[Item], db: sqlite3.Connection) -> list[tuple[Settle, Any, Exception | None]]:
        settled: list[tuple[Settle, Any, Exception | None]] = []
        for work, settle in group:
            try:
                settled.append((settle, work(db), None))
            except Exception as error:  # noqa: BLE001  # as above
                settled.append((settle, None, explained(self._path, error)))
        return settled

    def _write(self, group: Sequence[Item], db: sqlite3.Connection) -> list[tuple[Settle, Any, Exception | None]]:
        """Do all work of a group in one transaction; work that fails undoes itself alone."""
        settled: list[tuple[Settle, Any, Exception | None]] = []
        alone = len(group) == 1
        try:
            db.execute("BEGIN IMMEDIATE")
            version = db.execute("PRAGMA data_version").fetchone()[0]  # rises by the commits of others alone
            self.others_wrote = self.others_wrote or self._version not in (None, version)
            self._version = version
            for work, settle in group:
                if not alone:
                    db.execute("SAVEPOINT work")
                try:
                    settled.append((settle, work(db), None))
                except sqlite3.OperationalError:
                    raise  # it is the file or the disk, and meets all of them
                except Exception as error:
                    if alone:
                        raise
                    db.execute("ROLLBACK TO work")
                    settled.append((settle, None, explained(self._path, error)))
                if not alone:
                    db.execute("RELEASE work")
            db.execute("COMMIT")
        except Exception as error:  # noqa: BLE001  # as above
            with contextlib.suppress(sqlite3.Error):
                db.execute("ROLLBACK")
            failure = explained(self._path, error)
            return [(settle, None, failure) for _, settle in group]
        return settled


def _tell(settled: Sequence[tuple[Settle, Any, Exception | None]]) -> None:
    """Tell waiting tasks, from the thread, how their work ended: each event loop is woken once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any, Exception | None]]]
    by_loop = defaultdict(list)
    for (loop, future), result, error in settled:
        by_loop[loop].append((future, result, error))
    for loop, outcomes in by_loop.items():
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_settle, outcomes)


def _settle(outcomes: Sequence[tuple[asyncio.Future[Any], Any, Exception | None]]) -> None:
    for future, result, error in outcomes:
        if future.done():  # the task was cancelled meanwhile
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)


def explained(path: str, error: Exception) -> Exception:
    """One line for people, whatever SQLite says."""
    if isinstance(error, UnicodeEncodeError):
        return StoreError("a text that is no valid Unicode cannot be kept: it holds half of a surrogate pair")
    if not isinstance(error, sqlite3.Error):
        return error
    said = str(error)
    if "unable to open" in said or "readonly" in said:
        return StoreError(f"{path} cannot be written ({said}): check the folder and its permissions")
    if "not a database" in said or "malformed" in said:
        return StoreError(f"{path} is damaged or no database ({said}): restore it, or name another file")
    if "locked" in said or "busy" in said:
        return StoreBusyError(f"{path} is in use by another process: stop it, or name another file")
    if "full" in said:
        return StoreBusyError(f"{path} cannot grow ({said}): make room on the disk")
    return StoreError(f"{path}: {said}")
