"""Every entry of conversations as JSON lines: all that a store keeps of them."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from dspy_session.errors import ConfigurationError
from dspy_session.stores import Entry, Store
from dspy_session_bots.feedback import SCORE, SIGNAL, said_of_turns, to_json
from dspy_session_bots.tables import Bar, json_line
from dspy_session_bots.transcript import TURN

NOTES = (SCORE, SIGNAL)


async def export(store: Store, keys: Sequence[str], file: TextIO, bar: Bar) -> int:
    """Write conversations out; how many entries those were.

    Args:
        store: Where they are.
        keys: Which ones.
        file: Where to write.
        bar: Told of each conversation that is written.

    Raises:
        StoreError: One cannot be read.
    """
    written = 0
    for key in keys:
        async for line in lines_of(store, key):
            file.write(f"{json_line(line)}\n")
            written += 1
        bar.advance()
    return written


async def lines_of(store: Store, key: str) -> AsyncIterator[dict[str, Any]]:
    """The entries of a conversation, all as of one moment.

    Each comes with the names of the marks that are set on it, and how many there are in all, so that half a
    conversation is known for one; a turn with whether it was stopped and what stands of all that was said of it.
    """
    journal = await store.read(key, 1)
    marks: dict[int, list[str]] = {}
    for mark, at in journal.marks.items():
        marks.setdefault(at, []).append(mark)
    notes = [(entry, _body(entry) or {}) async for entry in _entries(store, key, journal.length) if entry.kind in NOTES]
    said = said_of_turns(notes)
    number = 0
    async for entry in _entries(store, key, journal.length):
        head = {"key": key, "number": number, "entries": journal.length}
        line = {**head, **_entry(entry), "marks": marks.get(number, [])}
        if entry.kind == TURN:
            line["stopped"] = (line["body"] or {}).get("stopped")
            line["feedback"] = [to_json(each) for each in said.get(number, ())]
        yield line
        number += 1


async def _entries(store: Store, key: str, length: int) -> AsyncIterator[Entry]:
    """The first ``length`` entries of a conversation; a bot may be writing more."""
    number = 0
    async for entry in store.entries(key):
        if number >= length:
            return
        yield entry
        number += 1


def _entry(entry: Entry) -> dict[str, Any]:
    head = {
        "kind": entry.kind,
        "at": entry.at,
        "author": entry.author,
        "about": entry.about,
        "previous": entry.previous,
    }
    body = _body(entry)
    return {**head, "body": None, "text": entry.body} if body is None else {**head, "body": body}


def _body(entry: Entry) -> dict[str, Any] | None:
    """What an entry holds; None where it is encrypted or damaged."""
    try:
        body = json.loads(entry.body)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


@contextmanager
def written_whole(path: Path | None) -> Iterator[TextIO]:
    """A file that is there once the block has ended well, and is otherwise left as it was; stdout for None.

    Raises:
        ConfigurationError: It cannot be written.
    """
    if path is None:
        yield sys.stdout
        sys.stdout.flush()
        return
    place = path.resolve()  # what a link leads to is written, the link stays
    if place.exists() and not place.is_file():
        raise ConfigurationError(f"cannot write {path}: it is no file")
    try:
        handle, name = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
    except OSError as error:
        raise ConfigurationError(f"cannot write {path}: {error.strerror}") from None
    try:
        with open(handle, "w", encoding="utf-8", newline="\n") as file:  # noqa: PTH123  # a handle, no path
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(place)
    except OSError as error:
        raise ConfigurationError(f"cannot write {path}: {error.strerror}") from None
    finally:
        with suppress(FileNotFoundError):
            Path(name).unlink()
