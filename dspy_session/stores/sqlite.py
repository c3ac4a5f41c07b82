"""A store in one SQLite file: for one process on one machine.

One thread owns the connection and takes whatever work is waiting into one transaction, so that many conversations that
commit at once share one flush to the disk. A task that is cancelled while it waits leaves nothing behind: its work is
done or not done, as a whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from dspy_session.errors import SessionError, StaleJournalError, StoreError
from dspy_session.stores.protocol import ConversationInfo, Entry

Result = TypeVar("Result")
_Work = Callable[[sqlite3.Connection], Any]

APPLICATION_ID = 0x64737079
"""``dspy`` in ASCII: marks a database file as ours."""
VERSION = 1
GROUP = 64
"""Work in one transaction at most; groups of 16 gave 14 times the commits of single ones (FULL, 2 cores)."""
BUSY_SECONDS = 5.0
"""How long to wait for another process that holds the file."""

_FIND = "SELECT id, entries FROM conversations WHERE key = ?"
_CREATE = "INSERT INTO conversations (key, entries, created_at, updated_at) VALUES (?, 0, ?, ?)"
_GROW = "UPDATE conversations SET entries = entries + 1, updated_at = ? WHERE id = ?"
_ADD = "INSERT INTO entries (conversation, seq, kind, body, event_id, at) VALUES (?, ?, ?, ?, ?, ?)"
_READ = """
    SELECT e.kind, e.body, e.event_id, e.at FROM entries e JOIN conversations c ON c.id = e.conversation
    WHERE c.key = ? ORDER BY e.seq
"""
_HAS_EVENT = """
    SELECT 1 FROM entries e JOIN conversations c ON c.id = e.conversation
    WHERE c.key = ? AND e.event_id = ? AND e.event_id <> ''
"""
_LIST = """
    SELECT key, entries, created_at, updated_at FROM conversations
    WHERE entries > 0 ORDER BY updated_at DESC, id DESC
"""
_COPY_CONVERSATION = """
    INSERT INTO conversations (key, entries, created_at, updated_at)
    SELECT ?, entries, created_at, updated_at FROM conversations WHERE id = ?
"""
_COPY_ENTRIES = """
    INSERT INTO entries (conversation, seq, kind, body, event_id, at)
    SELECT ?, seq, kind, body, '', at FROM entries WHERE conversation = ?
"""


class SqliteStore:
    """Journals in a SQLite file.

    Args:
        path: The file; made when it does not exist.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._work: queue.SimpleQueue[tuple[_Work, Callable[[Any, BaseException | None], None]] | None]
        self._work = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False

    async def open(self) -> None:
        """Open the file and bring its tables up to this version.

        Raises:
            StoreError: The file cannot be written, is no database of ours, or was written by a newer version.
        """
        if self._thread is not None:
            return
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = loop.create_future()
        self._thread = threading.Thread(
            target=self._serve, args=(_settler(loop, opened),), name="dspy-session-sqlite", daemon=True
        )
        self._thread.start()
        try:
            await opened
        except SessionError:
            self._thread = None
            raise

    async def read(self, key: str) -> Sequence[Entry]:
        """The journal of a conversation, oldest entry first."""
        return await self._do(lambda db: [Entry(*row) for row in db.execute(_READ, (key,))])

    async def append(self, key: str, entry: Entry, expected: int) -> None:
        """Add an entry, durably."""

        def work(db: sqlite3.Connection) -> None:
            found = db.execute(_FIND, (key,)).fetchone()
            if found is None:
                found = (db.execute(_CREATE, (key, entry.at, entry.at)).lastrowid, 0)
            conversation, entries = found
            if entries != expected:
                raise StaleJournalError
            try:
                db.execute(_ADD, (conversation, entries, entry.kind, entry.body, entry.event_id, entry.at))
            except sqlite3.IntegrityError as error:
                raise StaleJournalError(f"the event {entry.event_id!r} stands in the journal already") from error
            db.execute(_GROW, (entry.at, conversation))

        await self._do(work)

    async def has_event(self, key: str, event_id: str) -> bool:
        """True when an entry of the conversation was brought about by this event."""
        return await self._do(lambda db: db.execute(_HAS_EVENT, (key, event_id)).fetchone() is not None)

    async def copy(self, key: str, new_key: str) -> None:
        """Give ``new_key`` the journal of ``key``."""

        def work(db: sqlite3.Connection) -> None:
            if db.execute(_FIND, (new_key,)).fetchone() is not None:
                raise StaleJournalError(f"the conversation {new_key!r} exists already")
            found = db.execute(_FIND, (key,)).fetchone()
            if found is not None:
                copied = db.execute(_COPY_CONVERSATION, (new_key, found[0])).lastrowid
                db.execute(_COPY_ENTRIES, (copied, found[0]))

        await self._do(work)

    async def list(self) -> Sequence[ConversationInfo]:
        """Every conversation, the newest first."""
        return await self._do(lambda db: [ConversationInfo(*row) for row in db.execute(_LIST)])

    async def aclose(self) -> None:
        """Finish what is waiting and close the file."""
        thread, self._closed = self._thread, True
        if thread is None or not thread.is_alive():
            return
        self._work.put(None)
        await asyncio.to_thread(thread.join)

    async def _do(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        if self._closed or self._thread is None:
            raise StoreError(f"the store {self.path} is not open")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Result] = loop.create_future()
        self._work.put((work, _settler(loop, done)))
        return await done

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _serve(self, opened: Callable[[Any, BaseException | None], None]) -> None:
        try:
            db = self._connect()
        except Exception as error:  # noqa: BLE001  # whatever it is, the task that waits must hear of it
            opened(None, error)
            return
        opened(None, None)
        with contextlib.closing(db):
            going_on = True
            while going_on:
                group = [self._work.get()]
                with contextlib.suppress(queue.Empty):
                    while len(group) < GROUP:
                        group.append(self._work.get_nowait())
                going_on = None not in group
                self._run([item for item in group if item is not None], db)

    def _run(self, group: Sequence[Any], db: sqlite3.Connection) -> None:
        """Do all work of a group in one transaction; work that fails undoes itself alone."""
        settled: list[tuple[Callable[[Any, BaseException | None], None], Any, BaseException | None]] = []
        try:
            db.execute("BEGIN IMMEDIATE")
            for work, settle in group:
                db.execute("SAVEPOINT work")
                try:
                    settled.append((settle, work(db), None))
                except (SessionError, sqlite3.IntegrityError) as error:
                    db.execute("ROLLBACK TO work")
                    settled.append((settle, None, error))
                db.execute("RELEASE work")
            db.execute("COMMIT")
        except Exception as error:  # noqa: BLE001  # whatever it is, the tasks that wait must hear of it
            with contextlib.suppress(sqlite3.Error):
                db.execute("ROLLBACK")
            failure = self._explained(error)
            settled = [(settle, None, failure) for _, settle in group]
        for settle, result, failed in settled:
            settle(result, failed)

    def _connect(self) -> sqlite3.Connection:
        try:
            db = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            try:
                self._prepare(db)
            except BaseException:
                db.close()
                raise
        except sqlite3.Error as error:
            raise self._explained(error) from error
        return db

    def _prepare(self, db: sqlite3.Connection) -> None:
        application = db.execute("PRAGMA application_id").fetchone()[0]
        version = db.execute("PRAGMA user_version").fetchone()[0]
        tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if application != APPLICATION_ID and tables:
            raise StoreError(f"{self.path} is another program's database: name another file")
        if version > VERSION:
            raise StoreError(
                f"{self.path} was written by a newer version of dspy-session-kit (schema {version}, this one knows "
                f"{VERSION}): upgrade, or name another file"
            )
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")  # NORMAL may lose the last commits when the power fails
        db.execute("PRAGMA foreign_keys = ON")
        if version == 0:
            db.execute("BEGIN IMMEDIATE")
            if db.execute("PRAGMA user_version").fetchone()[0] == 0:  # nobody else was quicker
                for statement in _statements(files("dspy_session.stores").joinpath("schema.sql").read_text("utf-8")):
                    db.execute(statement)
                db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                db.execute(f"PRAGMA user_version = {VERSION}")
            db.execute("COMMIT")

    def _explained(self, error: Exception) -> StoreError:
        """One line for people, whatever SQLite says."""
        if isinstance(error, StoreError):
            return error
        said = str(error)
        if "unable to open" in said or "readonly" in said:
            return StoreError(f"{self.path} cannot be written ({said}): check the folder and its permissions")
        if "not a database" in said or "malformed" in said:
            return StoreError(f"{self.path} is damaged or no database ({said}): restore it, or name another file")
        if "locked" in said:
            return StoreError(f"{self.path} is in use by another process: stop it, or name another file")
        if "full" in said:
            return StoreError(f"{self.path} cannot grow ({said}): make room on the disk")
        return StoreError(f"{self.path}: {said}")


def _statements(script: str) -> list[str]:
    """The statements of a script, to be run inside one transaction (``executescript`` would commit before each)."""
    statements, current = [], ""
    for line in script.splitlines(keepends=True):
        current += line
        if sqlite3.complete_statement(current):
            statements.append(current)
            current = ""
    return statements


def _settler(
    loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any]
) -> Callable[[Any, BaseException | None], None]:
    """Tells a waiting task, from the thread, how its work ended."""

    def settle(result: Any, error: BaseException | None) -> None:
        if future.done():  # the task was cancelled meanwhile
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def from_thread(result: Any, error: BaseException | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, result, error)

    return from_thread
