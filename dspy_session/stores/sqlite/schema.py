"""Opening a database file: whose it is, which version of the tables it has, and that one process serves it."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import suppress
from functools import cache
from importlib.resources import files
from pathlib import Path

from dspy_session.errors import StoreError

APPLICATION_ID = 0x64737079
"""``dspy`` in ASCII: marks a database file as ours."""
VERSION = 5
MIGRATIONS = {2: "schema.sql", 3: "0003.sql", 4: "0004.sql", 5: "0005.sql"}
"""By version, the script that leads to it from the version before."""
BUSY_SECONDS = 5.0
"""How long to wait for another process that holds the file."""
PAGE_BYTES = 1024
"""A commit writes whole pages, a few for each row and index: of the usual 4 KB a turn wrote three times as much."""
SYNCHRONOUS = "FULL"
"""When a commit is over: once it is on the disk. NORMAL may lose the last ones when the power fails."""
MEMORY = ":memory:"


def connect(path: str) -> sqlite3.Connection:
    """A connection for the thread that writes, with the tables of this version.

    Raises:
        StoreError: The file is another program's, or was written by a newer or a much older version.
        sqlite3.Error: It cannot be opened or written.
    """
    _make(path)
    db = _connection(path)
    try:
        db.execute("BEGIN")  # so that all of the check sees one and the same moment
        _check(db, path)
        db.execute("COMMIT")
        db.execute(f"PRAGMA page_size = {PAGE_BYTES}")  # of a file that is new
        _use_wal(db)
        db.execute(f"PRAGMA synchronous = {SYNCHRONOUS}")
        db.execute("PRAGMA secure_delete = ON")  # what is forgotten must not lie around in free pages
        db.execute("BEGIN IMMEDIATE")  # one process at a time brings the tables up to date
        if _migrate(db, path):
            db.execute("COMMIT")
        else:
            db.execute(f"PRAGMA user_version = {_version(db)}")  # a file that cannot be written says so now
            db.execute("ROLLBACK")
    except BaseException:
        db.close()
        raise
    return db


def _make(path: str) -> None:
    """Make a file that is not there for its owner alone: SQLite gives the files beside it the same rights."""
    if path != MEMORY:
        with suppress(OSError):  # it is there, or cannot be made, which SQLite says as well
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _use_wal(db: sqlite3.Connection) -> None:
    """Switch to a write-ahead log; SQLite does not wait by itself for another process that does the same."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def connect_reader(path: str) -> sqlite3.Connection:
    """A connection for the thread that only reads, once ``connect`` has been there."""
    db = _connection(path)
    db.execute("PRAGMA query_only = ON")
    return db


def serve(path: str) -> sqlite3.Connection:
    """The right to run turns on a file; it ends when the connection is closed, and with the process however that ends.

    Raises:
        StoreError: Another process has it.
    """
    while True:
        lock = _lock(path)
        if lock is None:
            raise StoreError(
                f"{path} serves another bot already, and a file serves one: stop that one, name another file, or run "
                "several on PostgreSQL (postgresql://…)"
            )
        again = _lock(path)
        if again is None:
            return lock
        again.close()  # what we hold was deleted by whoever stopped just now: it keeps nobody out
        lock.close()


def _lock(path: str) -> sqlite3.Connection | None:
    """A connection that holds the lock; None while another one does."""
    lock = sqlite3.connect(_lock_file(path), timeout=0, isolation_level=None, check_same_thread=False)
    try:
        lock.execute("PRAGMA journal_mode = MEMORY")  # nothing is ever written: one file less stays open
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        lock.close()
        if "locked" not in str(error):
            raise
        return None
    return lock


def _lock_file(path: str) -> str:
    return f"{path}-serving"


def stop_serving(lock: sqlite3.Connection, path: str) -> None:
    """Give the right back."""
    Path(_lock_file(path)).unlink(missing_ok=True)
    lock.close()


def begin_serving(db: sqlite3.Connection) -> None:
    """Free what processes that served the file before have claimed and not settled."""
    db.execute("UPDATE lanes SET leased_until = 0 WHERE leased_until > 0")


def fold_log(path: str) -> None:
    """Write the log back into the file and empty it: what was deleted may still be in there."""
    db = _connection(path)
    try:
        db.execute(f"PRAGMA synchronous = {SYNCHRONOUS}")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        db.close()


def _connection(path: str) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)


def _version(db: sqlite3.Connection) -> int:
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    return version


def _check(db: sqlite3.Connection, path: str) -> None:
    application = db.execute("PRAGMA application_id").fetchone()[0]
    if application != APPLICATION_ID and db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise StoreError(f"{path} is another program's database: name another file")
    version = _version(db)
    if version == 1:
        raise StoreError(f"{path} was written by a development version before 0.1: delete it, or name another file")
    if version > VERSION and _readable_by(db) > VERSION:
        raise StoreError(
            f"{path} was written by a newer version of dspy-session-kit (schema {version}, this one knows {VERSION}): "
            "upgrade, or name another file"
        )


def _readable_by(db: sqlite3.Connection) -> int:
    """The oldest version that understands the tables of this file."""
    try:
        version: int = db.execute("SELECT value FROM facts WHERE name = 'readable_by'").fetchone()[0]
    except (sqlite3.OperationalError, TypeError):  # there is no such table, or nothing in it
        return _version(db)
    return version


def _migrate(db: sqlite3.Connection, path: str) -> bool:
    """Bring the tables up to this version; False when they are."""
    _check(db, path)  # somebody else may have been quicker
    missing = range(max(_version(db), 1) + 1, VERSION + 1)
    for version in missing:
        for statement in _statements(MIGRATIONS[version]):
            db.execute(statement)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {version}")
    return bool(missing)


@cache
def _statements(name: str) -> tuple[str, ...]:
    """The statements of a script, to be run inside one transaction (``executescript`` would commit before each)."""
    script = files("dspy_session.stores.sqlite").joinpath(name).read_text("utf-8")
    statements, current = [], ""
    for line in script.splitlines(keepends=True):
        current += line
        if sqlite3.complete_statement(current):
            statements.append(current)
            current = ""
    return tuple(statements)
