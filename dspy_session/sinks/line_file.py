"""A file that lines are appended to: whole, durably, and each once."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path

TAIL = 4 * 2**20
"""Bytes at the end of a file that are read, at least, to learn which lines are in it."""

_Mark = tuple[int, int, int]
"""Which file it is and how long: device, inode, bytes."""


class LineFile:
    """Appends lines that have ids. Every method blocks, and may be called from any thread.

    The file is opened anew each time, so that one that was rotated away stays as it is and a new one is begun.

    Args:
        path: The file; made when it does not exist, with the folders above it.
        remembered: How many ids are known of the lines at its end.
    """

    def __init__(self, path: Path, remembered: int) -> None:
        self.path = path
        self._remembered = remembered
        self._known: dict[str, None] = {}
        self._mark: _Mark | None = None
        self._lock = threading.Lock()

    def append(self, lines: Sequence[tuple[str, bytes]]) -> None:
        """Append ``lines``, each an id and its text without a newline; those whose ids are in the file are not.

        Raises:
            OSError: They are not all in the file, or not durably.
        """
        with self._lock:
            descriptor, made = self._open()
            try:
                self._append(descriptor, lines)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if made:
                _sync_folder(self.path.parent)

    def _open(self) -> tuple[int, bool]:
        flags = os.O_RDWR | os.O_APPEND | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        try:
            return os.open(self.path, flags), False
        except FileNotFoundError:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(self.path, flags | os.O_CREAT, 0o666), True

    def _append(self, descriptor: int, lines: Sequence[tuple[str, bytes]]) -> None:
        size = os.fstat(descriptor).st_size
        if _mark(descriptor) != self._mark:  # another file, or somebody else wrote to it
            self._known = dict.fromkeys(_ids(_tail(descriptor, size, lines)))
        new = {name: line for name, line in lines if name not in self._known}
        text = b"".join(line + b"\n" for line in new.values())
        if size and _read(descriptor, size - 1, 1) != b"\n":
            text = b"\n" + text  # the last line was torn by a crash, or its end was
        self._mark = None
        _write(descriptor, size, text)
        self._known.update(dict.fromkeys(new))
        for name in list(self._known)[: -self._remembered]:
            del self._known[name]
        self._mark = _mark(descriptor)


def _mark(descriptor: int) -> _Mark:
    stat = os.fstat(descriptor)
    return stat.st_dev, stat.st_ino, stat.st_size


def _tail(descriptor: int, size: int, lines: Sequence[tuple[str, bytes]]) -> bytes:
    """The end of the file: enough to hold what is to be written, should it be there already."""
    wanted = max(TAIL, 2 * sum(len(line) for _, line in lines))
    start = max(size - wanted, 0)
    return _read(descriptor, start, size - start)


def _read(descriptor: int, start: int, length: int) -> bytes:
    os.lseek(descriptor, start, os.SEEK_SET)  # what is appended goes to the end all the same
    return os.read(descriptor, length)


def _ids(tail: bytes) -> list[str]:
    """The ids of the lines in it; what is torn, or not ours, has none."""
    ids = []
    for line in tail.split(b"\n"):
        with contextlib.suppress(ValueError, RecursionError):
            told = json.loads(line)
            if isinstance(told, dict) and isinstance(told.get("id"), str):
                ids.append(told["id"])
    return ids


def _write(descriptor: int, size: int, text: bytes) -> None:
    """Write all of it, or, as far as that is in our hands, none of it."""
    written = 0
    try:
        while written < len(text):
            written += os.write(descriptor, text[written:])
    except OSError:
        with contextlib.suppress(OSError):
            if written and os.fstat(descriptor).st_size == size + written:  # else somebody else wrote after us
                os.ftruncate(descriptor, size)
        raise


def _sync_folder(folder: Path) -> None:
    """Make a new file's name durable, where folders can be opened at all."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
